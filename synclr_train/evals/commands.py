"""`synclr-train probe` and `synclr-train segment`: an exported encoder beside its baselines."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from synclr_train.evals.datasets import DIGITS
from synclr_train.evals.digits_on_photos import DIGITS_ON_PHOTOS
from synclr_train.evals.events import said
from synclr_train.evals.finetune_recipes import FINETUNE_RECIPES, get_finetune_recipe
from synclr_train.evals.protocol import Split
from synclr_train.evals.scores import Score, require_comparable
from synclr_train.evals.segmentation_recipes import SEGMENTATION_RECIPES

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--weights", "encoder_dir", required=True, type=FOLDER, help="Folder with an exported encoder.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    default=[DIGITS],
    show_default=True,
    help=f"{DIGITS}, folder:/path, or NAME:/root such as flowers:/data (docs/evaluation.md); repeatable.",
)
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="test",
    show_default=True,
    help="validation never reads the test part: use it while settings are still being chosen.",
)
@click.option("--cache", "cache_dir", type=FOLDER, help="Folder that keeps features for the next run.")
@click.option("--out", "out_dir", required=True, type=FOLDER, help="Folder to write scores.json into.")
def probe(
    encoder_dir: Path, datasets: tuple[str, ...], split: Split, cache_dir: Path | None, out_dir: Path
) -> None:
    """Linear probe, kNN and few-shot of a frozen encoder on real images."""
    from synclr_train.evals.linear_probe import run_linear_probe

    with Console(stderr=True).status("probing") as status:
        try:
            scores = run_linear_probe(
                encoder_dir,
                out_dir,
                datasets=datasets,
                split=split,
                cache_dir=cache_dir,
                on_event=lambda event: status.update(said(event)),
            )
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    print_scores(scores, out_dir)


@click.command()
@click.option("--weights", "encoder_dir", required=True, type=FOLDER, help="Folder with an exported encoder.")
@click.option(
    "--dataset",
    default=DIGITS_ON_PHOTOS,
    show_default=True,
    help=f"{DIGITS_ON_PHOTOS}, ade20k:/path, voc2012:/path, or folder:/path with images and masks.",
)
@click.option(
    "--head",
    default="linear",
    show_default=True,
    help=f"linear (fitted to its optimum, {DIGITS_ON_PHOTOS} alone), or trained: {', '.join(SEGMENTATION_RECIPES)}.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=2),
    help="Replaces a trained head's number of steps, warm-up in proportion.",
)
@click.option(
    "--random-weights",
    is_flag=True,
    help="Train the head from a random encoder too, as a baseline; linear always does.",
)
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="test",
    show_default=True,
    help="validation never reads the test part: use it while settings are still being chosen.",
)
@click.option(
    "--out",
    "out_dir",
    required=True,
    type=FOLDER,
    help="Folder to write scores and pictures into; a killed training there continues.",
)
def segment(
    encoder_dir: Path,
    dataset: str,
    head: str,
    steps: int | None,
    random_weights: bool,
    split: Split,
    out_dir: Path,
) -> None:
    """Segmentation by a linear head on frozen patch features, or by a trained head, with pictures."""
    with Console(stderr=True).status("segmenting") as status:
        try:
            from synclr_train.evals.segmentation import run_segmentation

            scores = run_segmentation(
                encoder_dir,
                out_dir,
                dataset=dataset,
                head=head,
                steps=steps,
                split=split,
                baselines=("random_weights",) if random_weights and head != "linear" else None,
                on_event=lambda event: status.update(said(event)),
            )
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    print_scores(scores, out_dir)


@click.command()
@click.option("--weights", "encoder_dir", required=True, type=FOLDER, help="Folder with an exported encoder.")
@click.option("--dataset", required=True, help="NAME:/root such as imagenet1k:/data, or folder:/path.")
@click.option("--split", type=click.Choice(["validation", "test"]), default="test", show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), help="Replaces the paper's 90.")
@click.option("--batch-size", type=click.IntRange(min=2), help="Replaces the paper's 1024.")
@click.option("--augmented/--features", default=True, show_default=True, help="Crop anew, or read once.")
@click.option("--workers", "num_workers", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--cache", "cache_dir", type=FOLDER, help="Folder that keeps features (with --features).")
@click.option("--out", "out_dir", required=True, type=FOLDER, help="Folder to write scores.json into.")
def probe_sgd(
    encoder_dir: Path,
    dataset: str,
    split: Split,
    epochs: int | None,
    batch_size: int | None,
    augmented: bool,
    num_workers: int,
    cache_dir: Path | None,
    out_dir: Path,
) -> None:
    """The paper's ImageNet linear probe: SGD, nine learning rates at once."""
    from synclr_train.evals.protocol import SgdProtocol
    from synclr_train.evals.sgd_probe import run_sgd_probe

    changes = {"augmented": augmented, "epochs": epochs, "batch_size": batch_size}
    settings = SgdProtocol(dataset=dataset, dataset_digest="", split=split).model_copy(
        update={name: value for name, value in changes.items() if value is not None}
    )
    with Console(stderr=True).status("probing") as status:
        try:
            scores = run_sgd_probe(
                encoder_dir,
                out_dir,
                dataset=dataset,
                split=split,
                settings=settings,
                num_workers=num_workers,
                cache_dir=cache_dir,
                on_event=lambda event: status.update(said(event)),
            )
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    print_scores(scores, out_dir)


@click.command()
@click.option("--weights", "encoder_dir", required=True, type=FOLDER, help="Folder with an exported encoder.")
@click.option("--dataset", required=True, help="NAME:/root such as imagenet1k:/data, or folder:/path.")
@click.option("--recipe", "recipe_name", required=True, help=f"One of: {', '.join(FINETUNE_RECIPES)}.")
@click.option("--split", type=click.Choice(["validation", "test"]), default="test", show_default=True)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Replaces the recipe's; its warm-up shrinks alike."
)
@click.option("--batch-size", type=click.IntRange(min=2), help="Replaces the recipe's.")
@click.option("--workers", "num_workers", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", "out_dir", required=True, type=FOLDER, help="A killed run there continues.")
def finetune(
    encoder_dir: Path,
    dataset: str,
    recipe_name: str,
    split: Split,
    epochs: int | None,
    batch_size: int | None,
    num_workers: int,
    out_dir: Path,
) -> None:
    """Train the whole network on labelled images (SynCLR table 14), on one device."""
    from synclr_train.evals.finetune import run_finetune

    with Console(stderr=True).status("fine-tuning") as status:
        try:
            scores = run_finetune(
                encoder_dir,
                out_dir,
                dataset=dataset,
                recipe=get_finetune_recipe(recipe_name, epochs, batch_size),
                split=split,
                num_workers=num_workers,
                on_event=lambda event: status.update(said(event)),
            )
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    print_scores(scores, out_dir)


def score_table(scores: Sequence[Score]) -> Table:
    """One row per metric, one column per subject, in per cent with 95 % intervals; a row's best is bold."""
    first = scores[0]
    table = Table(
        title=f"{first.dataset}, {first.split} part, {first.num_test} images (per cent, 95 % interval)",
        caption=f"protocol {first.protocol} {first.protocol_fingerprint}",
    )
    subjects = list(dict.fromkeys(score.subject for score in scores))
    table.add_column("metric", no_wrap=True)
    for subject in subjects:
        table.add_column(subject.replace("_", " "), justify="right", no_wrap=True)
    for metric in dict.fromkeys(score.metric for score in scores):
        measured = {score.subject: score for score in scores if score.metric == metric}
        require_comparable(list(measured.values()))
        best = max(score.value for score in measured.values())
        cells = []
        for subject in subjects:
            score = measured[subject]
            text = f"{100 * score.value:.1f}"
            emphasised = f"[bold]{text}[/bold]" if score.value == best else text
            interval = f"{100 * score.ci_low:.1f}-{100 * score.ci_high:.1f}"
            cells.append(f"{emphasised}\n[dim]{interval}[/dim]")
        table.add_row(metric.replace("_", " "), *cells)
    return table


def print_scores(scores: Sequence[Score], out_dir: Path) -> None:
    """Prints one table per data set, and where the files are."""
    console = Console()
    for dataset in dict.fromkeys(score.dataset for score in scores):
        console.print(score_table([score for score in scores if score.dataset == dataset]))
    console.print(f"details: {out_dir}", soft_wrap=True, highlight=False, markup=False)
