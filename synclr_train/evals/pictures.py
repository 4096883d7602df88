"""Pictures for people: sheets of named rows of images, masks laid over images, a legend of the classes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

PALETTE = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
    (250, 190, 212),
)
"""One colour per foreground class, told apart by hue and lightness; repeats beyond ten."""

MARGIN = 10
GAP = 4
LABEL_WIDTH = 128
LEGEND_HEIGHT = 30
PAPER = (255, 255, 255)
INK = (30, 30, 30)


@dataclass(frozen=True)
class Row:
    """One row of a sheet: its name and its images, all of one size."""

    name: str
    images: list[Image.Image]


def to_image(pixels: Float[np.ndarray, "3 h w"], side: int) -> Image.Image:
    """An image in [0, 1] at `side` px, smoothly enlarged."""
    return Image.fromarray(_to_bytes(pixels)).resize((side, side), Image.Resampling.BICUBIC)


def overlay(
    pixels: Float[np.ndarray, "3 h w"], classes: Int[np.ndarray, "h w"], background: int, side: int
) -> Image.Image:
    """The image greyed and darkened, every foreground pixel in its class's colour; class edges stay sharp."""
    base = np.asarray(to_image(pixels, side).convert("L").convert("RGB")) * 0.55
    enlarged = Image.fromarray(classes.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    found = np.asarray(enlarged)
    colours = np.array(
        [PALETTE[number % len(PALETTE)] for number in range(int(found.max()) + 1)], dtype=float
    )
    mixed = np.where((found == background)[:, :, None], base, 0.15 * base + 0.85 * colours[found])
    return Image.fromarray(mixed.round().astype(np.uint8))


def sheet(rows: Sequence[Row], legend: Sequence[tuple[str, tuple[int, int, int]]] = ()) -> Image.Image:
    """Rows under each other, their names at the left, the legend of classes below."""
    side = rows[0].images[0].width
    num_columns = max(len(row.images) for row in rows)
    width = 2 * MARGIN + LABEL_WIDTH + num_columns * (side + GAP)
    height = 2 * MARGIN + len(rows) * (side + GAP) + (LEGEND_HEIGHT if legend else 0)
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=15)
    for number, row in enumerate(rows):
        top = MARGIN + number * (side + GAP)
        draw.text((MARGIN, top + side / 2), row.name, fill=INK, font=font, anchor="lm")
        for column, image in enumerate(row.images):
            page.paste(image, (MARGIN + LABEL_WIDTH + column * (side + GAP), top))
    left, middle = MARGIN + LABEL_WIDTH, height - MARGIN - LEGEND_HEIGHT / 2 + GAP
    for name, colour in legend:
        draw.rectangle((left, middle - 7, left + 14, middle + 7), fill=colour)
        draw.text((left + 20, middle), name, fill=INK, font=font, anchor="lm")
        left += 34 + int(draw.textlength(name, font=font))
    return page


def png_bytes(image: Image.Image) -> bytes:
    """The image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _to_bytes(pixels: Float[np.ndarray, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
