"""Previews: what the UI shows is readable, of the promised size, and safe from what a caption says."""

from __future__ import annotations

import base64
import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from synclr_assets.report.previews import (
    GAP_PX,
    MARGIN_PX,
    ROW_GAP_PX,
    TEXT_GAP_PX,
    TEXT_WIDTH_PX,
    caption_table,
    contact_sheet,
    count_table,
    markdown_image,
    markdown_table,
    score_table,
)
from tests.synclr_assets.report.trained_store import jpeg, score, scores


def opened(encoded: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(encoded))
    assert image.format == "WEBP"
    return image.convert("RGB")


def test_contact_sheet_has_a_row_per_caption_and_a_cell_per_view() -> None:
    sheet = opened(contact_sheet([("one", [jpeg(s) for s in (10, 60, 110, 160)])] * 3, scale=2))
    cells = 4 * 96 + 3 * GAP_PX
    assert sheet.size == (
        MARGIN_PX + cells + TEXT_GAP_PX + TEXT_WIDTH_PX + MARGIN_PX,
        2 * MARGIN_PX + 3 * 96 + 2 * ROW_GAP_PX,
    )


def test_contact_sheet_shows_the_views_in_order() -> None:
    sheet = opened(contact_sheet([("one", [jpeg(10), jpeg(200)])]))
    middle = MARGIN_PX + 48
    assert sheet.getpixel((middle, middle))[0] == pytest.approx(10, abs=3)
    assert sheet.getpixel((middle + 96 + GAP_PX, middle))[0] == pytest.approx(200, abs=3)


def test_contact_sheet_writes_the_caption_at_the_right() -> None:
    def ink(caption: str) -> int:
        sheet = opened(contact_sheet([(caption, [jpeg(128)] * 4)]))
        right = sheet.crop((sheet.width - TEXT_WIDTH_PX - MARGIN_PX, 0, sheet.width, sheet.height))
        return sum(right.convert("L").histogram()[:128])

    assert 0 == ink("") < ink("a cat") < ink("a cat beside a very much longer caption than that")


def test_contact_sheet_keeps_an_overlong_caption_inside() -> None:
    short = opened(contact_sheet([("a cat", [jpeg(128)] * 4)]))
    for caption in ("word " * 400, "x" * 2000):
        assert opened(contact_sheet([(caption, [jpeg(128)] * 4)])).size == short.size


def test_contact_sheet_shrinks_large_images() -> None:
    sheet = opened(contact_sheet([("large", [jpeg(10, side_px=512)] * 4)]))
    assert sheet.height == 256 + 2 * MARGIN_PX


def test_contact_sheet_without_captions_says_so() -> None:
    sheet = opened(contact_sheet([]))
    assert len(sheet.getcolors(1 << 16) or []) > 1


def test_contact_sheet_names_the_view_that_does_not_decode() -> None:
    with pytest.raises(ValueError, match="View 1 of the caption 'a cat'"):
        contact_sheet([("a cat", [jpeg(1), b"no image"])])


def test_markdown_image_carries_its_bytes_and_a_harmless_text() -> None:
    text = markdown_image(b"\x89PNG", "a ] b <i>")
    encoded = base64.b64encode(b"\x89PNG").decode()
    assert text == f"![a \\] b &lt;i&gt;](data:image/png;base64,{encoded})"
    assert markdown_image(contact_sheet([]), "sheet").startswith("![sheet](data:image/webp;base64,")


def test_caption_table_escapes_what_would_break_out_of_a_cell() -> None:
    row = {"caption_id": "0123456789", "template": "c_rel", "concept": "a|b", "text": "<b>\n*two* lines_"}
    line = caption_table([row]).splitlines()[-1]
    assert line == "| 01234567 | c_rel | a\\|b | &lt;b&gt; \\*two\\* lines\\_ |"


def test_caption_table_marks_a_caption_that_is_still_a_plan() -> None:
    row = {"caption_id": "0" * 32, "template": "c_bg", "concept": "cat", "text": None}
    assert "(still a plan)" in caption_table([row])


@given(st.text())
def test_no_cell_can_open_another_column_or_line(text: str) -> None:
    lines = markdown_table(("only",), [(text,)]).split("\n")
    assert len(lines) == 3
    assert lines[2].replace("\\\\", "").replace("\\|", "").count("|") == 2
    assert "<" not in lines[2]


def test_count_table_ranks_and_gives_shares() -> None:
    lines = count_table({"blank": 1, "twins": 3}).splitlines()
    assert lines[2:] == ["| twins | 3 | 75.0 % |", "| blank | 1 | 25.0 % |"]


def test_count_table_of_nothing_is_a_sentence() -> None:
    assert "|" not in count_table({})


def test_score_table_sets_baselines_beside_the_model_and_says_where_it_loses() -> None:
    text = score_table(scores())
    assert "| data set | metric | model | random weights | raw pixels |" in text
    assert "| linear probe accuracy | **95.0 % (94.0 to 96.0)** | 87.7 % (86.7 to 88.7) |" in text
    assert (
        "With 94.1 % in kNN accuracy on sklearn_digits (test) the model loses to raw pixels (98.4 %" in text
    )
    assert "loses to random weights" not in text


def test_score_table_leaves_a_gap_where_a_baseline_was_not_measured() -> None:
    rows = [*scores(), score("model", "few_shot_1_accuracy", 0.5)]
    assert "| few shot 1 accuracy | **50.0 % (49.0 to 51.0)** | - | - |" in score_table(rows)


def test_score_table_without_scores_is_a_sentence() -> None:
    assert score_table([]) == "No scores yet."


def test_importing_the_report_loads_no_drawing_library() -> None:
    heavy = "{'matplotlib', 'jinja2', 'torch'}"
    modules = "sys, synclr_assets.report.page, synclr_assets.report.previews"
    code = f"import {modules}; print({heavy} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
