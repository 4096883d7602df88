"""The loss curve of one training run, drawn from its metrics.csv. Knows its columns, not the trainer."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS_TERMS = {
    "loss": ("total", "#0072B2"),
    "loss_global": ("contrastive, global crops", "#D55E00"),
    "loss_local": ("contrastive, local crops", "#009E73"),
    "loss_ibot": ("iBOT", "#CC79A7"),
}
"""Column, name and colour (Okabe and Ito's colour-blind safe set) of every loss term."""
INK = "#7a7a7a"
"""Readable on a light and on a dark page; the picture's own ground is transparent."""
SIDE_PANELS = (("learning_rate", "learning rate"), ("effective_rank", "effective rank (dimensions)"))
SMOOTHED_FROM_ROWS = 120


def read_metrics(metrics_csv: Path) -> dict[str, list[tuple[float, float]]]:
    """(step, value) pairs by column, empty cells and empty columns left out.

    Raises ValueError for a file without rows or without the columns `step` and `loss`.
    """
    with metrics_csv.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or "step" not in rows[0] or "loss" not in rows[0]:
        raise ValueError(
            f"{metrics_csv} has no rows with the columns step and loss: name the metrics.csv of a run."
        )
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, cell in row.items():
            if name != "step" and cell:
                series.setdefault(name, []).append((float(row["step"]), float(cell)))
    return series


def loss_curve(metrics_csv: Path, chance_loss: float | None = None) -> bytes:
    """A PNG of the loss terms over steps, beside them learning rate and effective rank.

    `chance_loss` (in nats) draws the contrastive loss of an encoder that cannot tell images apart. Raises
    ValueError for a file that is no metrics.csv.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series = read_metrics(metrics_csv)
    figure = Figure(figsize=(9.2, 3.9), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    panels = [(column, title) for column, title in SIDE_PANELS if column in series]
    grid = figure.add_gridspec(max(len(panels), 1), 3)
    losses = figure.add_subplot(grid[:, :2] if panels else grid[:, :])
    _draw_losses(losses, series, chance_loss)
    for position, (column, title) in enumerate(panels):
        axes = figure.add_subplot(grid[position, 2])
        _style(axes, title)
        axes.plot(*zip(*series[column], strict=True), color=LOSS_TERMS["loss"][1], linewidth=1.4)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
    figure.axes[-1].set_xlabel("step", color=INK, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return buffer.getvalue()


def running_mean(values: list[float], half_width: int) -> list[float]:
    """The mean over each value and up to `half_width` neighbours on both sides."""
    windows = (values[max(0, i - half_width) : i + half_width + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _draw_losses(axes: Axes, series: dict[str, list[tuple[float, float]]], chance_loss: float | None) -> None:
    _style(axes, "loss (nats)")
    num_rows = len(series["loss"])
    half_width = num_rows // 60 if num_rows >= SMOOTHED_FROM_ROWS else 0
    drawn = {column: points for column in LOSS_TERMS if (points := series.get(column))}
    if len(drawn) == 2:  # the total and its only term are one curve
        drawn = {"loss": drawn["loss"]}
    for column, points in drawn.items():
        name, colour = LOSS_TERMS[column]
        steps, values = [step for step, _ in points], [value for _, value in points]
        if half_width:
            axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.3)
        marker = "o" if len(points) == 1 else None
        axes.plot(
            steps, running_mean(values, half_width), color=colour, linewidth=1.8, marker=marker, label=name
        )
    if chance_loss is not None:
        axes.axhline(
            chance_loss, color=INK, linewidth=1, linestyle=(0, (4, 3)), label="contrastive, at chance"
        )
    axes.set_xlabel("step", color=INK, fontsize=9)
    if len(drawn) > 1 or chance_loss is not None:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(axis="y", color=INK, alpha=0.2, linewidth=0.6)
    axes.margins(x=0.01)
