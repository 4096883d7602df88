"""A confusion matrix of any size as a picture, and its worst mistakes in words. Reads no store."""

from __future__ import annotations

import io

from synclr_assets.report.evidence import Confusion
from synclr_assets.report.scores import percent

INK = "#7a7a7a"
"""Readable on a light and on a dark page; the picture's own ground is transparent."""
MAX_NAMED_CLASSES = 60
"""Beyond these nobody could read the names, and one cell is less than a pixel: the picture then shows a choice."""
NUM_CHOSEN_CLASSES = 40
MAX_NUMBERED_CLASSES = 20
"""Beyond these the cells carry no numbers."""
MAX_NAME_CHARS = 24
OTHERS = "all others"


def confusion_picture(confusion: Confusion) -> bytes:
    """A PNG: a row per true class, a column per prediction, darker for a larger share of the row.

    Of more than MAX_NAMED_CLASSES classes it shows those that are mixed up most and says so; a last column holds
    the predictions of all other classes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num_classes = len(confusion.class_names)
    chosen = list(range(num_classes))
    if num_classes > MAX_NAMED_CLASSES:
        chosen = most_confused(confusion, NUM_CHOSEN_CLASSES)
    # A dollar would begin a formula; class names are data, never markup.
    names = [confusion.class_names[each][:MAX_NAME_CHARS].replace("$", r"\$") for each in chosen]
    rows = [[confusion.shares[truth][guess] for guess in chosen] for truth in chosen]
    columns = names
    if len(chosen) < num_classes:
        rows = [
            [*shares, sum(confusion.shares[truth]) - sum(shares)]
            for truth, shares in zip(chosen, rows, strict=True)
        ]
        columns = [*names, OTHERS]
    side = min(max(3.5, 0.45 * len(names)), 9.0)
    figure = Figure(figsize=(side + 1, side), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(rows, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xlabel("prediction", color=INK, fontsize=9)
    axes.set_ylabel("truth", color=INK, fontsize=9)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(len(columns)), columns, rotation=90 if max(map(len, columns)) > 2 else 0)
    axes.set_yticks(range(len(names)), names)
    if len(chosen) < num_classes:
        title = f"the {len(chosen)} of {num_classes} classes that are mixed up most"
        axes.set_title(title, color=INK, fontsize=9)
    if num_classes <= MAX_NUMBERED_CLASSES:
        for row, shares in enumerate(rows):
            for column, share in enumerate(shares):
                if share >= 0.005:
                    colour = "white" if share > 0.5 else "#23252a"
                    axes.text(
                        column,
                        row,
                        f"{100 * share:.0f}",
                        ha="center",
                        va="center",
                        fontsize=7.5,
                        color=colour,
                    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True, bbox_inches="tight", pad_inches=0.05)
    return buffer.getvalue()


def most_confused(confusion: Confusion, count: int) -> list[int]:
    """Numbers of `count` classes, ascending: both classes of the worst mistakes, then those found least often."""
    chosen: set[int] = set()
    for _, truth, guess in _mistakes(confusion):
        if len(chosen | {truth, guess}) > count:
            break
        chosen |= {truth, guess}
    least_found = sorted(range(len(confusion.shares)), key=lambda each: confusion.shares[each][each])
    fill = [each for each in least_found if each not in chosen]
    return sorted([*chosen, *fill[: count - len(chosen)]])


def worst_mistakes(confusion: Confusion, count: int) -> list[str]:
    """The pairs of classes that are taken for one another most, as `3 taken for 8: 7.0 %`."""
    names = confusion.class_names
    worst = _mistakes(confusion)[:count]
    return [f"{names[truth]} taken for {names[guess]}: {percent(share)}" for share, truth, guess in worst]


def _mistakes(confusion: Confusion) -> list[tuple[float, int, int]]:
    """Share, true class and predicted class of everything that was mixed up, the worst first."""
    pairs = [
        (share, truth, guess)
        for truth, shares in enumerate(confusion.shares)
        for guess, share in enumerate(shares)
        if truth != guess and share > 0
    ]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))
