"""A confusion matrix as a picture of any size, and its worst mistakes in words. Reads no store."""

from __future__ import annotations

import io

from synclr_assets.report.evidence import Confusion
from synclr_assets.report.scores import percent

INK = "#7a7a7a"
"""Readable on a light and on a dark page; the picture's own ground is transparent."""
MAX_NAMED_CLASSES = 60
MAX_NUMBERED_CLASSES = 20
"""Beyond these the axes carry no names and the cells no numbers, for nobody could read them."""
MAX_NAME_CHARS = 24


def confusion_picture(confusion: Confusion) -> bytes:
    """A PNG: a row per true class, a column per prediction, darker for a larger share of the row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num_classes = len(confusion.class_names)
    side = min(max(3.5, 0.45 * num_classes), 9.0)
    figure = Figure(figsize=(side + 1, side), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(confusion.shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xlabel("prediction", color=INK, fontsize=9)
    axes.set_ylabel("truth", color=INK, fontsize=9)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    if num_classes <= MAX_NAMED_CLASSES:
        # A dollar would begin a formula; class names are data, never markup.
        names = [name[:MAX_NAME_CHARS].replace("$", r"\$") for name in confusion.class_names]
        axes.set_xticks(range(num_classes), names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(range(num_classes), names)
    if num_classes <= MAX_NUMBERED_CLASSES:
        for row, shares in enumerate(confusion.shares):
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
    figure.savefig(buffer, format="png", transparent=True)
    return buffer.getvalue()


def worst_mistakes(confusion: Confusion, count: int) -> list[str]:
    """The pairs of classes that are taken for one another most, as `3 taken for 8: 7.0 %`."""
    names = confusion.class_names
    pairs = [
        (share, truth, guess)
        for truth, shares in enumerate(confusion.shares)
        for guess, share in enumerate(shares)
        if truth != guess and share > 0
    ]
    worst = sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:count]
    return [f"{names[truth]} taken for {names[guess]}: {percent(share)}" for share, truth, guess in worst]
