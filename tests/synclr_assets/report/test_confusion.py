"""The picture of a confusion matrix stays readable however many classes there are."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from synclr_assets.report.confusion import (
    MAX_NAMED_CLASSES,
    NUM_CHOSEN_CLASSES,
    OTHERS,
    confusion_picture,
    most_confused,
    worst_mistakes,
)
from synclr_assets.report.evidence import Confusion


def confusion_of(num_classes: int, mistakes: dict[tuple[int, int], float]) -> Confusion:
    """Every class found, but for the given shares (truth, guess) of a row."""
    shares = np.eye(num_classes)
    for (truth, guess), share in mistakes.items():
        shares[truth, guess] += share
        shares[truth, truth] -= share
    names = tuple(f"name {number}" for number in range(num_classes))
    return Confusion("linear_probe", names, tuple(tuple(map(float, row)) for row in shares))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that a test saves."""
    figures: list[Figure] = []
    save = Figure.savefig

    def saved(self: Figure, *arguments: object, **options: object) -> None:
        figures.append(self)
        save(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", saved)
    return figures


def cells(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def labels(figure: Figure) -> tuple[list[str], list[str]]:
    axes = figure.axes[0]
    return [each.get_text() for each in axes.get_xticklabels()], [
        each.get_text() for each in axes.get_yticklabels()
    ]


@pytest.mark.parametrize("num_classes", [2, 20, 21, MAX_NAMED_CLASSES])
def test_every_class_is_named_while_names_can_be_read(drawn: list[Figure], num_classes: int) -> None:
    confusion = confusion_of(num_classes, {(0, 1): 0.25})
    confusion_picture(confusion)
    assert labels(drawn[0]) == (list(confusion.class_names),) * 2
    assert cells(drawn[0])[0, 1] == 0.25
    assert drawn[0].axes[0].get_title() == ""
    assert bool(drawn[0].axes[0].texts) == (num_classes <= 20)
    no_names_touch(drawn[0])


@pytest.mark.parametrize("num_classes", [MAX_NAMED_CLASSES + 1, 397, 1000])
def test_of_more_classes_the_most_confused_are_shown_and_it_says_so(
    drawn: list[Figure], num_classes: int
) -> None:
    worst = {(3, num_classes - 2): 0.4, (50, 7): 0.3, (50, 8): 0.2}
    small = {(number, number + 1): 0.01 for number in range(10, 49)}
    png = confusion_picture(confusion_of(num_classes, worst | small))
    columns, rows = labels(drawn[0])
    assert len(rows) == NUM_CHOSEN_CLASSES
    assert columns == [*rows, OTHERS]
    assert {"name 3", f"name {num_classes - 2}", "name 50", "name 7", "name 8"} <= set(rows)
    assert f"the {NUM_CHOSEN_CLASSES} of {num_classes} classes" in drawn[0].axes[0].get_title()
    shown = cells(drawn[0])
    assert shown[rows.index("name 3"), columns.index(f"name {num_classes - 2}")] == 0.4
    np.testing.assert_allclose(shown.sum(1), 1)
    assert max(Image.open(io.BytesIO(png)).size) < 1500
    no_names_touch(drawn[0])


def no_names_touch(figure: Figure) -> None:
    """Names of neighbouring rows do not overlap."""
    boxes = [each.get_window_extent() for each in figure.axes[0].get_yticklabels()]
    for upper, lower in pairwise(boxes):
        assert lower.y1 <= upper.y0 + 1


def test_predictions_of_classes_that_are_not_shown_stand_in_the_last_column(drawn: list[Figure]) -> None:
    """One class is taken for thirty others a little; only the worst of them have room."""
    mistakes = {(0, guess): 0.02 - guess * 1e-4 for guess in range(1, 46)}
    confusion_picture(confusion_of(100, mistakes))
    shown = cells(drawn[0])
    hidden = sum(share for (_, guess), share in mistakes.items() if guess >= NUM_CHOSEN_CLASSES)
    assert shown[0, -1] == pytest.approx(hidden)


def test_a_matrix_without_mistakes_has_a_picture_too(drawn: list[Figure]) -> None:
    confusion_picture(confusion_of(80, {}))
    assert len(labels(drawn[0])[1]) == NUM_CHOSEN_CLASSES


def test_classes_are_chosen_by_their_worst_mistakes_then_by_how_seldom_they_are_found() -> None:
    confusion = confusion_of(9, {(8, 2): 0.5, (4, 2): 0.3, (1, 6): 0.1})
    assert most_confused(confusion, 3) == [2, 4, 8]
    assert most_confused(confusion, 4) == [1, 2, 4, 8]
    assert worst_mistakes(confusion, 1) == ["name 8 taken for name 2: 50.0 %"]


def test_names_are_data_and_no_markup() -> None:
    confusion = Confusion("linear_probe", ("$x_1$", "a" * 90), ((1.0, 0.0), (0.0, 1.0)))
    assert Image.open(io.BytesIO(confusion_picture(confusion))).size[0] > 100
