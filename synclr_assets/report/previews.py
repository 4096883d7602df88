"""Small things to look at, as Markdown, PNG and WebP: tables of captions, counts and scores, contact sheets.

Used as metadata in the Dagster UI and by the model's page. Reads no store.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synclr_assets.report.scores import (
    MODEL,
    comparisons_of,
    interval,
    percent,
    spelled,
    subjects_of,
    verdicts,
)

if TYPE_CHECKING:
    from PIL import Image, ImageFont

SHORT_ID_CHARS = 8
MAX_CELL_PX = 256
MARGIN_PX, GAP_PX, ROW_GAP_PX, TEXT_GAP_PX, TEXT_WIDTH_PX = 16, 4, 14, 20, 340
SHEET_COLOUR, INK_COLOUR = (250, 250, 248), (32, 33, 36)
SHEET_QUALITY = 85
"""A sheet is kept twice in Dagster's log for each bucket; as a PNG it is four times as large, of 512 px images 3 MB."""
MARKDOWN_MARKS = re.compile(r"([\\`*\[\]|~])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def contact_sheet(groups: Sequence[tuple[str, Sequence[bytes]]], scale: int = 2) -> bytes:
    """A WebP picture with one row per caption: its encoded views side by side, and the caption in words at the right.

    A view is drawn `scale` times its size, at most 256 px. No groups give a sheet that says so. Raises
    ValueError for a view that does not decode.
    """
    from PIL import Image, ImageDraw, ImageFont

    decoded = [
        [_decoded(data, caption, view) for view, data in enumerate(views)] for caption, views in groups
    ]
    side = max((max(image.size) for row in decoded for image in row), default=16)
    cell = min(side * scale, MAX_CELL_PX)
    columns = max((len(row) for row in decoded), default=0)
    text_left = MARGIN_PX + columns * (cell + GAP_PX) + TEXT_GAP_PX - GAP_PX if columns else MARGIN_PX
    num_rows = max(len(groups), 1)
    size = (
        text_left + TEXT_WIDTH_PX + MARGIN_PX,
        2 * MARGIN_PX + num_rows * cell + (num_rows - 1) * ROW_GAP_PX,
    )
    sheet = Image.new("RGB", size, SHEET_COLOUR)
    drawing = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=16)
    assert isinstance(font, ImageFont.FreeTypeFont)
    captions = [caption for caption, _ in groups] or ["No images to show."]
    for index, caption in enumerate(captions):
        top = MARGIN_PX + index * (cell + ROW_GAP_PX)
        for column, image in enumerate(decoded[index] if groups else []):
            sheet.paste(_fitted(image, cell), (MARGIN_PX + column * (cell + GAP_PX), top))
        lines = wrapped(caption, font, max_lines=max(1, cell // 21))
        middle = (text_left, top + cell // 2)
        drawing.multiline_text(middle, "\n".join(lines), fill=INK_COLOUR, font=font, anchor="lm", spacing=5)
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=SHEET_QUALITY)
    return buffer.getvalue()


def wrapped(text: str, font: ImageFont.FreeTypeFont, max_lines: int) -> list[str]:
    """The text in lines of at most the sheet's text width; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= TEXT_WIDTH_PX:
            lines[-1] = longer
        else:
            lines += [_shortened(word, font)]
    lines = [line for line in lines if line]
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], _shortened(lines[max_lines - 1] + " …", font)]
    return lines


def as_data_uri(encoded: bytes, media_type: str = "image/png") -> str:
    """The encoded image as a `data:` URI."""
    return f"data:{media_type};base64,{base64.b64encode(encoded).decode()}"


def markdown_image(encoded: bytes, alt: str) -> str:
    """The PNG or WebP as a Markdown image that needs no other file."""
    media_type = "image/webp" if encoded.startswith(b"RIFF") else "image/png"
    return f"![{markdown_text(alt)}]({as_data_uri(encoded, media_type)})"


def markdown_text(value: object) -> str:
    """Any value as one line of plain Markdown text: pipes, HTML and emphasis marks lose their meaning."""
    line = html.escape(" ".join(str(value).split()), quote=False)
    return MARKDOWN_MARKS.sub(lambda found: "\\" + found.group(0), line)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table of plain text cells; a sentence where there are no rows."""
    return _table(header, [[markdown_text(cell) for cell in row] for row in rows])


def count_table(counts: Mapping[str, int]) -> str:
    """Names with their counts and shares, the largest first."""
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(name, f"{count:,}", percent(count / total) if total else "-") for name, count in ranked]
    return markdown_table(("what", "count", "share"), rows)


def caption_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Captions with shortened id, template, concept and text; rows of captions or enriched_captions."""
    cells = [
        (row["caption_id"][:SHORT_ID_CHARS], row["template"], row["concept"], row["text"] or "(still a plan)")
        for row in rows
    ]
    return markdown_table(("id", "template", "concept", "text"), cells)


def score_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of evals: the model beside its baselines with 95 % intervals, and in words where it loses."""
    comparisons = comparisons_of(rows)
    if not comparisons:
        return "No scores yet."
    subjects = subjects_of(comparisons)
    cells = []
    for comparison in comparisons:
        what = (
            f"{comparison.dataset} ({comparison.split}, n = {comparison.num_test:,})",
            spelled(comparison.metric),
        )
        row = [markdown_text(cell) for cell in what]
        for subject in subjects:
            scored = comparison.scores.get(subject)
            value = "-" if scored is None else f"{percent(scored.value)} ({interval(scored)})"
            row.append(f"**{value}**" if subject == comparison.best else value)
        cells.append(row)
    table = _table(["data set", "metric", *(spelled(subject) for subject in subjects)], cells)
    sentences = "\n".join(f"- {markdown_text(sentence)}" for sentence in verdicts(comparisons))
    return f"{table}\n\n{sentences}"


def class_table(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """One metric class by class, for the model and its baselines; the model's lowest class first."""
    found = [each for each in comparisons_of(rows) if each.metric == metric and MODEL in each.scores]
    if not found:
        return "No scores by class."
    scores = found[0].scores
    names = sorted(scores[MODEL].per_class, key=lambda name: (scores[MODEL].per_class[name], name))
    cells = [
        (
            name,
            *(
                percent(scored.per_class[name]) if name in scored.per_class else "-"
                for scored in scores.values()
            ),
        )
        for name in names
    ]
    return markdown_table(("class", *(spelled(subject) for subject in scores)), cells)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells must be escaped already."""
    if not rows:
        return "Nothing to show."
    lines = [[markdown_text(name) for name in header], ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _decoded(data: bytes, caption: str, view: int) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(
            f"View {view} of the caption {caption!r} is no image that decodes ({error}): "
            "draw its bucket again as its next generation."
        ) from error


def _fitted(image: Image.Image, cell_px: int) -> Image.Image:
    """The image at its own aspect ratio in a square cell; enlarged images keep their pixels visible."""
    from PIL import Image

    factor = cell_px / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    resized = image.resize(
        size, Image.Resampling.NEAREST if factor.is_integer() else Image.Resampling.LANCZOS
    )
    square = Image.new("RGB", (cell_px, cell_px), SHEET_COLOUR)
    square.paste(resized, ((cell_px - size[0]) // 2, (cell_px - size[1]) // 2))
    return square


def _shortened(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The text, or as much of it as fits the sheet's text width with an ellipsis behind it."""
    if font.getlength(text) <= TEXT_WIDTH_PX:
        return text
    kept = text.removesuffix(" …")[:TEXT_WIDTH_PX]  # no letter is narrower than a pixel
    while font.getlength(kept + "…") > TEXT_WIDTH_PX:
        kept = kept[:-1]
    return kept.rstrip() + "…"
