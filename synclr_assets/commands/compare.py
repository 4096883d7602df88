"""`synclr compare`: models side by side on the same scores, with intervals and paired differences."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

import click

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.commands.text_tables import aligned
from synclr_assets.provenance.comparison import (
    SHORT_ID_CHARS,
    ComparisonError,
    MetricComparison,
    ModelComparison,
    compare_models,
)
from synclr_assets.provenance.models import find_model
from synclr_assets.report.comparison import INTERVAL_NOTE, comparison_plot, letters_of, points, verdict
from synclr_assets.report.scores import percent, spelled

PLOT_SUFFIXES = (".png", ".svg")
CSV_COLUMNS = (
    "kind",
    "dataset",
    "split",
    "metric",
    "protocol",
    "protocol_fingerprint",
    "num_test",
    "model_id",
    "minus_model_id",
    "value",
    "ci_low",
    "ci_high",
)


@click.command("compare")
@click.argument("model_ids", nargs=-1, required=True, metavar="MODEL MODEL ...")
@click.option("--dataset", help="Only scores on this data set.")
@click.option("--metric", help="Only this metric, such as linear_probe_accuracy.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Also draw a .png or .svg file."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: one line per score and per difference.")
@STORE_OPTION
def command(
    model_ids: tuple[str, ...],
    dataset: str | None,
    metric: str | None,
    plot: Path | None,
    as_json: bool,
    as_csv: bool,
    root: str | None,
) -> None:
    """Models side by side (each an id or its beginning), and whether one is better than another.

    Differences are of two models on the same test images. Scores of different protocols are refused.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv: give one of the two.")
    if plot is not None and plot.suffix.lower() not in PLOT_SUFFIXES:
        raise click.UsageError(f"--plot {plot}: end the name in .png or .svg.")
    store = open_store(root)
    models = [find_model(store, model_id) for model_id in model_ids]
    comparison = compare_models(store, models, dataset=dataset, metric=metric)
    if as_json:
        click.echo(json.dumps(_document(comparison), indent=1, default=str))
    elif as_csv:
        click.echo(_csv(comparison), nl=False)
    else:
        click.echo("\n".join(comparison_lines(comparison)))
    if plot is not None:
        _write_plot(comparison, plot)
        click.echo(f"plot written to {plot}", err=True)


def comparison_lines(comparison: ModelComparison) -> list[str]:
    """The comparison as plain lines: the models, what differs between them, and each score."""
    letters = letters_of(comparison)
    lines = ["models"]
    lines += _indented(
        [
            (letters[model["model_id"]], model["model_id"], model["slice"], model["recipe"])
            for model in comparison.models
        ],
        num_left=4,
    )
    lines += ["", "what differs"]
    header = ("", *letters.values())
    facts = [(fact.name, *fact.values) for fact in comparison.facts]
    lines += _indented([header, *facts], num_left=1 + len(letters))
    for metric in comparison.metrics:
        lines += ["", *_metric_lines(metric, letters)]
    return [*lines, "", INTERVAL_NOTE]


def _metric_lines(metric: MetricComparison, letters: dict[str, str]) -> list[str]:
    title = (
        f"{spelled(metric.metric)} on {metric.dataset} ({metric.split}, {metric.num_test} images, "
        f"{metric.protocol} {metric.protocol_fingerprint})"
    )
    rows = [
        (
            letters[value.model_id],
            percent(value.value),
            f"{100 * value.ci_low:.1f} to {100 * value.ci_high:.1f}",
            "",
        )
        for value in metric.values
    ]
    rows += [
        (
            f"{letters[each.first]} - {letters[each.second]}",
            points(each.value),
            f"{100 * each.ci_low:+.1f} to {100 * each.ci_high:+.1f}",
            verdict(each, letters),
        )
        for each in metric.differences
    ]
    lines = [title, *("  " + line for line in _three_and_text(rows))]
    if metric.without_outcomes:
        named = ", ".join(letters[model_id] for model_id in metric.without_outcomes)
        lines.append(
            f"  {named}: no outcomes of single images are stored, so no paired difference; "
            f"materialise {metric.asset} again to have one"
        )
    return lines


def _three_and_text(rows: list[tuple[str, str, str, str]]) -> list[str]:
    numbers = aligned([row[:3] for row in rows])
    return [f"{line}  {row[3]}".rstrip() for line, row in zip(numbers, rows, strict=True)]


def _indented(rows: list[tuple[str, ...]], num_left: int) -> list[str]:
    return ["  " + line for line in aligned(rows, num_left)]


def _document(comparison: ModelComparison) -> dict[str, object]:
    letters = letters_of(comparison)
    document = asdict(comparison)
    document["models"] = [
        {
            "letter": letters[model["model_id"]],
            **{name: model[name] for name in ("model_id", "slice", "recipe", "steps", "seed", "inputs")},
        }
        for model in comparison.models
    ]
    for shown, metric in zip(document["metrics"], comparison.metrics, strict=True):
        for row, difference in zip(shown["differences"], metric.differences, strict=True):
            row["ahead"] = difference.ahead
    document["note"] = INTERVAL_NOTE
    return document


def _csv(comparison: ModelComparison) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for metric in comparison.metrics:
        where = {name: getattr(metric, name) for name in CSV_COLUMNS if hasattr(metric, name)}
        for value in metric.values:
            writer.writerow({"kind": "score", **where, **asdict(value)})
        for each in metric.differences:
            interval = {name: getattr(each, name) for name in ("value", "ci_low", "ci_high")}
            pair = {"model_id": each.first, "minus_model_id": each.second}
            writer.writerow({"kind": "difference", **where, **pair, **interval})
    return text.getvalue()


def _write_plot(comparison: ModelComparison, path: Path) -> None:
    picture = comparison_plot(comparison, path.suffix.lower().removeprefix("."))
    try:
        path.write_bytes(picture)
    except OSError as error:
        named = " ".join(model["model_id"][:SHORT_ID_CHARS] for model in comparison.models)
        raise ComparisonError(
            f"The plot of {named} cannot be written to {path} ({error.strerror}): name a file in a writable folder."
        ) from error
