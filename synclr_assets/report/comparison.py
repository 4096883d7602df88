"""Compared models in words and as a picture: letters, verdicts, points with 95 % intervals. Measures nothing."""

from __future__ import annotations

import io
import string
from collections.abc import Mapping
from typing import TYPE_CHECKING

from synclr_assets.provenance.comparison import SHORT_ID_CHARS, MetricComparison, ModelComparison
from synclr_assets.provenance.outcomes import Difference
from synclr_assets.report.scores import spelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INTERVAL_NOTE = (
    "Intervals are 95 %, over the draw of test images (and of few-shot episodes), each pair by itself. They say "
    "nothing of other training seeds: train several to know that."
)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colour-blind safe set, in turn."""
MARKERS = "osD^vP*"
INK = "#444444"
ROW_INCHES, SPREAD = 0.26, 0.4


def letters_of(comparison: ModelComparison) -> dict[str, str]:
    """A, B, C, ... for the models in their order; beyond Z numbers."""
    ids = [model["model_id"] for model in comparison.models]
    names = [*string.ascii_uppercase, *(str(number) for number in range(27, len(ids) + 1))]
    return dict(zip(ids, names, strict=False))


def points(value: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return f"{100 * value:+.1f}"


def verdict(difference: Difference, letters: Mapping[str, str]) -> str:
    """Which of the two is better, in words; or that these images do not tell."""
    if difference.ahead is None:
        return "not told apart"
    return f"{letters[difference.ahead]} is better"


def comparison_plot(comparison: ModelComparison, file_format: str = "png") -> bytes:
    """Scores with their intervals at the left, paired differences at the right; `file_format` png or svg."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    letters = letters_of(comparison)
    metrics = comparison.metrics
    rows = sum(max(len(metric.values), len(metric.differences)) + 1 for metric in metrics)
    with_pairs = any(metric.differences for metric in metrics)
    figure = Figure(
        figsize=(11.5 if with_pairs else 7, 1.5 + ROW_INCHES * max(rows, 5)), dpi=130, layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if with_pairs else 1, sharey=True, squeeze=False)[0]
    _draw_scores(axes[0], metrics, comparison, letters)
    if with_pairs:
        _draw_differences(axes[1], metrics, letters)
    axes[0].set_yticks(range(len(metrics)), [_label(metric) for metric in metrics])
    axes[0].set_ylim(len(metrics) - 0.5, -0.5)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=file_format, facecolor="white")
    return buffer.getvalue()


def _draw_scores(
    axes: Axes, metrics: tuple[MetricComparison, ...], comparison: ModelComparison, letters: Mapping[str, str]
) -> None:
    ids = [model["model_id"] for model in comparison.models]
    for number, model in enumerate(comparison.models):
        model_id = model["model_id"]
        found = [
            (row + _offset(number, len(ids)), value)
            for row, metric in enumerate(metrics)
            for value in metric.values
            if value.model_id == model_id
        ]
        _draw_intervals(
            axes,
            [(y, each.value, each.ci_low, each.ci_high) for y, each in found],
            number,
            f"{letters[model_id]}  {model['recipe']} on {model['slice']}, {model_id[:SHORT_ID_CHARS]}",
        )
    _style(axes, "score in %, 95 % interval")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.05), borderaxespad=0)


def _draw_differences(axes: Axes, metrics: tuple[MetricComparison, ...], letters: Mapping[str, str]) -> None:
    pairs = list(
        dict.fromkeys((each.first, each.second) for metric in metrics for each in metric.differences)
    )
    for number, pair in enumerate(pairs):
        found = [
            (row + _offset(number, len(pairs)), each)
            for row, metric in enumerate(metrics)
            for each in metric.differences
            if (each.first, each.second) == pair
        ]
        _draw_intervals(
            axes,
            [(y, each.value, each.ci_low, each.ci_high) for y, each in found],
            number,
            f"{letters[pair[0]]} - {letters[pair[1]]}",
        )
    axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    _style(axes, "paired difference in percentage points")
    axes.legend(
        frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.05), borderaxespad=0, ncols=4
    )


def _draw_intervals(
    axes: Axes, found: list[tuple[float, float, float, float]], number: int, label: str
) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    axes.hlines(
        [y for y, *_ in found],
        [100 * low for _, _, low, _ in found],
        [100 * high for *_, high in found],
        color=colour,
        linewidth=1.6,
    )
    axes.plot(
        [100 * value for _, value, _, _ in found],
        [y for y, *_ in found],
        marker,
        color=colour,
        markersize=5.5,
        label=label,
    )


def _offset(number: int, count: int) -> float:
    """Where in its row the mark of one of several stands, from -SPREAD / 2 to SPREAD / 2."""
    return 0.0 if count == 1 else SPREAD * (number / (count - 1) - 0.5)


def _label(metric: MetricComparison) -> str:
    part = "" if metric.split == "test" else f", {metric.split}"
    return f"{spelled(metric.metric)}\n{metric.dataset}{part}, n = {metric.num_test}"


def _style(axes: Axes, title: str) -> None:
    axes.set_xlabel(title, color=INK, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=INK, alpha=0.2, linewidth=0.6)
