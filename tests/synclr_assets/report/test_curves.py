"""The loss curve: a PNG of what metrics.csv holds, and one sentence for a file that is no such thing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, ImageColor

from synclr_assets.report.curves import LOSS_TERMS, loss_curve, read_metrics, running_mean
from tests.synclr_assets.report.trained_store import metrics_csv

LOCAL_COLOUR = ImageColor.getrgb(LOSS_TERMS["loss_local"][1])


def test_empty_cells_and_empty_columns_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss,loss_local,effective_rank\n10,2.5,,\n20,2.0,,31.5\n", encoding="utf-8")
    assert read_metrics(path) == {"loss": [(10.0, 2.5), (20.0, 2.0)], "effective_rank": [(20.0, 31.5)]}


@pytest.mark.parametrize("num_rows", [1, 40, 400])
def test_the_curve_is_a_wide_picture_with_something_on_it(tmp_path: Path, num_rows: int) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(metrics_csv(num_rows), encoding="utf-8")
    image = Image.open(io.BytesIO(loss_curve(path, chance_loss=4.8)))
    assert image.format == "PNG"
    assert image.width > 2 * image.height
    drawn = {colour for _, colour in image.convert("RGB").getcolors(1 << 20) or []}
    assert {ImageColor.getrgb(colour) for _, colour in LOSS_TERMS.values()} - drawn == {LOCAL_COLOUR}


def test_a_run_that_logged_the_loss_alone_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n10,2.5\n20,2.0\n", encoding="utf-8")
    assert loss_curve(path).startswith(b"\x89PNG")


@pytest.mark.parametrize("content", ["", "step,loss\n", "a,b\n1,2\n"])
def test_another_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.csv has no rows with the columns step and loss"):
        loss_curve(path)


def test_running_mean_keeps_the_length_and_a_constant() -> None:
    assert running_mean([2.0] * 7, half_width=2) == [2.0] * 7
    assert running_mean([0.0, 3.0, 6.0], half_width=1) == [1.5, 3.0, 4.5]
