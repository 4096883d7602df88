"""`synclr quote`: what a slice will take before it is begun, and the figure behind each amount."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.commands.text_tables import aligned
from synclr_assets.concept_bank.bank import ConceptBank, concept_folder, read_bank
from synclr_assets.cost.amounts import Total
from synclr_assets.cost.assumptions import assumed_figures
from synclr_assets.cost.measured import measured_figures
from synclr_assets.cost.quote import STAGES, Quote, quote
from synclr_assets.cost.rates import Figure, Rates, generator_figures, given_figures, read_rates
from synclr_assets.cost.stage_lines import SECONDS_PER_DAY
from synclr_assets.cost.workload import workload
from synclr_assets.report.formats import duration, grouped, size
from synclr_train.recipes import Recipe, get_recipe

DEFAULT_RECIPE = "rehearsal"
HEADINGS = ("requests", "tokens in", "out", "GPU h", "CPU h", "disk", "USD", "time")


@click.command("quote")
@click.argument("slice_name", metavar="[SLICE]", default="all")
@click.option(
    "--concepts", "folder", type=click.Path(path_type=Path), help="Concept bank; default SYNCLR_CONCEPTS."
)
@click.option(
    "--captions", "num_captions", type=click.IntRange(1), help="Captions in all; default the bank's."
)
@click.option("--rates", "rates_file", type=click.Path(path_type=Path), help="YAML file of rates and prices.")
@click.option(
    "--probe", "with_probe", is_flag=True, help="Measure this machine first; a paid API is paid for it."
)
@click.option(
    "--probe-seconds", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Per part."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
@STORE_OPTION
def command(
    slice_name: str,
    folder: Path | None,
    num_captions: int | None,
    rates_file: Path | None,
    with_probe: bool,
    probe_seconds: float,
    as_json: bool,
    root: str | None,
) -> None:
    """Tokens, requests, hours, disk, money and days of SLICE, per stage and bucket, before it is begun.

    A rate comes from the rates file, else from --probe, else from what the store's ledger measured, else it
    is assumed and said so; speeds and prices are never assumed.
    """
    console = Console(stderr=as_json)
    bank = read_bank(folder or concept_folder(os.environ))
    work = workload(bank, slice_name, num_captions)
    rates = Rates() if rates_file is None else read_rates(rates_file)
    recipe = recipe_of(rates)
    given = generator_figures(rates.generators) | given_figures(rates, str(rates_file))
    figures = assumed_figures(rates.generators.captioner.prompts(), recipe, rates.generators.images, given)
    figures |= measured_figures(open_store(root), recipe, given)
    remarks: list[str] = []
    if rates.generators.backgrounds.kind == "rewrite":
        remarks.append("Kind rewrite asks once per c_bg caption; this quote counts lists instead.")
    if with_probe:
        probed, not_measured = _probe(console, bank, slice_name, rates, recipe, probe_seconds)
        figures |= probed
        remarks += not_measured
    result = quote(work, figures | given)
    if as_json:
        click.echo(json.dumps(document(slice_name, result, remarks), indent=2))
    else:
        print_quote(console, slice_name, result, remarks)


def recipe_of(rates: Rates) -> Recipe:
    """The recipe that the rates name, with their number of steps. Raises ValueError for an unknown name."""
    recipe = get_recipe(rates.training.recipe or DEFAULT_RECIPE)
    return recipe if rates.training.steps is None else recipe.with_steps(rates.training.steps)


def _probe(
    console: Console, bank: ConceptBank, slice_name: str, rates: Rates, recipe: Recipe, seconds: float
) -> tuple[dict[str, Figure], list[str]]:
    from synclr_assets.cost.probe import probe  # loads what the generators need

    def tell(part: str) -> None:
        console.print(f"measuring {part}", style="dim")

    measured = probe(bank, slice_name, rates.generators, recipe, seconds, tell)
    return measured.figures, measured.remarks


def print_quote(console: Console, slice_name: str, result: Quote, remarks: list[str]) -> None:
    """The amounts per stage and per bucket, then every figure behind them."""
    by_stage = [(stage, result.of_stage(stage)) for stage in STAGES]
    by_bucket = [(one.bucket, result.of_bucket(one.bucket)) for one in result.work]
    lines = [
        f"{slice_name}: {grouped(result.num_captions)} captions",
        *aligned([("stage", *HEADINGS), *(_cells(*row) for row in [*by_stage, ("in all", result.whole)])]),
        "",
        *aligned([("bucket", *HEADINGS), *(_cells(*row) for row in by_bucket)]),
        "Training and evaluation belong to the slice. Stages come one after another, each with its workers.",
        "",
        f"{'figure':<45} {'value':>22}  basis     because",
    ]
    for place, figure in sorted(result.figures.items()):
        lines.append(f"{place:<45} {_value(figure.value):>22}  {figure.basis:<9} {figure.because}")
    for place in result.unknown:
        mend = "give it in --rates, or run with --probe" if "_per_second" in place else "give it in --rates"
        lines.append(f"{place} is not known, so what needs it is left out (?): {mend}.")
    console.print("\n".join([*lines, *remarks]), markup=False, highlight=False, soft_wrap=True)


def _cells(name: str, total: Total) -> tuple[str, ...]:
    """One line of a table; an amount that is not known in full is a lower bound (>) or missing (?)."""
    cells = {
        "requests": _count(total.requests),
        "prompt_tokens": _count(total.prompt_tokens),
        "completion_tokens": _count(total.completion_tokens),
        "gpu_hours": _hours(total.gpu_hours),
        "cpu_hours": _hours(total.cpu_hours),
        "size_bytes": size(total.size_bytes),
        "usd": f"{total.usd:,.0f}" if total.usd >= 1000 else f"{total.usd:.2f}",
        "days": _time(total.days),
    }
    for amount in total.lower_bounds:
        cells[amount] = "?" if getattr(total, amount) == 0 else f">{cells[amount]}"
    return (name, *cells.values())


def _count(count: float) -> str:
    """A count, from ten thousand on in thousands, millions or billions."""
    if count < 10_000:
        return f"{count:.0f}"
    power, letter = next((p, letter) for p, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if count >= p)
    return f"{count / power:.3g}{letter}" if count < 1000 * power else f"{grouped(count / power)}{letter}"


def _hours(hours: float) -> str:
    if 0 < hours < 0.01:
        return "<0.01"
    return grouped(hours) if hours >= 100 else f"{hours:.2f}".rstrip("0").rstrip(".")


def _time(days: float) -> str:
    return (
        f"{grouped(days) if days >= 100 else f'{days:.1f}'} d"
        if days >= 2
        else duration(days * SECONDS_PER_DAY)
    )


def _value(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return grouped(value) if value >= 1000 else f"{value:.4g}"


def document(slice_name: str, result: Quote, remarks: list[str]) -> dict[str, object]:
    """The whole quote for scripts; an unknown amount is null."""
    return {
        "slice": slice_name,
        "num_captions": result.num_captions,
        "lines": [asdict(line) for line in result.lines],
        "stages": {stage: asdict(result.of_stage(stage)) for stage in STAGES},
        "buckets": {one.bucket: asdict(result.of_bucket(one.bucket)) for one in result.work},
        "total": asdict(result.whole),
        "figures": {place: asdict(figure) for place, figure in sorted(result.figures.items())},
        "unknown": list(result.unknown),
        "expected": result.expected,
        "remarks": remarks,
    }
