"""`python -m benchmarks.ablations`: trains ablation recipes over seeds, scores the digits, prints a table.

Tables 4 and 5 of the paper, at either size. One run at a time; what is done is not done again, so that the
command may be killed and repeated until the table is whole.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from synclr_train.config import Recipe
from synclr_train.process import prepare_process
from synclr_train.recipes import get_recipe
from synclr_train.recipes.ablations import MINIATURE_TABLE_4
from synclr_train.shard_files import ShardFile, find_shards

METRICS = ("few_shot_1_accuracy", "few_shot_5_accuracy", "linear_probe_accuracy", "knn_accuracy", "mean_iou")
Scores = dict[str, float]


@click.command()
@click.option(
    "--shards", "patterns", required=True, multiple=True, help="Pattern of shard files; repeatable."
)
@click.option("--recipes", default=",".join(r.__name__ for r in MINIATURE_TABLE_4), show_default=True)
@click.option("--seeds", default="0,1,2", show_default=True, help="Seeds of each recipe.")
@click.option("--steps", type=click.IntRange(min=1), help="Replaces the recipes' number of steps.")
@click.option("--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True)
@click.option("--out", "out_dir", required=True, type=click.Path(path_type=Path, file_okay=False))
def main(
    patterns: tuple[str, ...], recipes: str, seeds: str, steps: int | None, split: str, out_dir: Path
) -> None:
    """Train and score every recipe with every seed, then print mean and 95 % interval over the seeds."""
    prepare_process()
    try:
        shards = find_shards(patterns)
        chosen = [get_recipe(name) for name in recipes.split(",")]
        if steps is not None:
            chosen = [recipe.with_steps(steps) for recipe in chosen]
        rows = {recipe.name: [] for recipe in chosen}
        for seed in (int(each) for each in seeds.split(",")):
            for recipe in chosen:
                folder = out_dir / f"{recipe.name}-steps{recipe.steps}-seed{seed}"
                scores = train_and_score(recipe, shards, folder, seed=seed, split=split)
                rows[recipe.name].append(scores)
                said = "  ".join(f"{name} {100 * scores[name]:.1f}" for name in METRICS)
                click.echo(f"{recipe.name} seed {seed}: {said}  {scores['seconds']:.0f} s")
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    Console().print(ablation_table(rows, split))


def train_and_score(
    recipe: Recipe, shards: Sequence[ShardFile], folder: Path, *, seed: int, split: str
) -> Scores:
    """Metrics of one run (fractions) and its training `seconds`; reads them where they are already written."""
    from synclr_train.evals.linear_probe import run_linear_probe
    from synclr_train.evals.scores import SCORES_FILE, read_scores
    from synclr_train.evals.segmentation import run_segmentation
    from synclr_train.training import RESULT_FILE, fit

    result_file = folder / RESULT_FILE
    if not result_file.is_file():
        fit(recipe, shards, folder, seed=seed)
    result = json.loads(result_file.read_text(encoding="utf-8"))
    fingerprint = recipe.varied(seed=seed).fingerprint
    if result["recipe_fingerprint"] != fingerprint:
        raise ValueError(f"{folder} was trained with other settings of {recipe.name}: name another --out")
    scores: Scores = {"seconds": result["seconds"]}
    for kind, run in (("probe", run_linear_probe), ("segment", run_segmentation)):
        target = folder / f"{kind}-{split}"
        if not (target / SCORES_FILE).is_file():
            run(folder, target, split=split, baselines=())
        scores |= {score.metric: score.value for score in read_scores(target)}
    return scores


def ablation_table(rows: dict[str, list[Scores]], split: str) -> Table:
    """One row per recipe: mean over seeds and half-width of its 95 % interval (Student's t), in per cent."""
    num_seeds = len(next(iter(rows.values())))
    table = Table(title=f"digits, {split} part; mean over {num_seeds} seeds and 95 % half-width, per cent")
    table.add_column("recipe", no_wrap=True)
    for name in METRICS:
        table.add_column(name.removesuffix("_accuracy").replace("_", " "), justify="right")
    table.add_column("seconds", justify="right")
    for recipe, runs in rows.items():
        cells = [mean_and_interval([100 * run[name] for run in runs]) for name in METRICS]
        table.add_row(recipe, *cells, f"{np.mean([run['seconds'] for run in runs]):.0f}")
    return table


def mean_and_interval(values: Sequence[float]) -> str:
    """`mean +- half-width`; the mean alone of a single seed, which has no interval over seeds."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.1f}"
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{mean:.1f} ± {float(stats.t.ppf(0.975, len(values) - 1)) * spread:.1f}"


if __name__ == "__main__":
    main()
