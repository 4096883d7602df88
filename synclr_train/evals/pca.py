"""Principal components of patch features as colours: what an encoder tells apart (SynCLR Fig. 5)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from synclr_train.atomic_files import write_atomically
from synclr_train.backbone import Encoder
from synclr_train.evals.digits_on_photos import Scenes
from synclr_train.evals.features import patch_features
from synclr_train.evals.pictures import Row, png_bytes, sheet, to_image

NUM_SCENES = 8
"""Scenes shown."""
NUM_ANALYSED = 64
"""Scenes from which the components are computed."""
CELL_SIDE = 144
GRID_SIDE = 24
"""Patches per side: finer than any grid that is scored, so that there is something to see."""
PERCENTILES = (0.02, 0.98)


@dataclass(frozen=True)
class PatchColours:
    """Three components as red, green, blue in [0, 1]: of all patches, and of the foreground patches alone."""

    all_patches: Float[Tensor, "n 3 g g"]
    foreground: Bool[Tensor, "n g g"]
    foreground_patches: Float[Tensor, "n 3 g g"]


def patch_colours(features: Float[Tensor, "n d g g"]) -> PatchColours:
    """One PCA over all patches of all images, then one over those on the foreground side of its first axis.

    What all images share at a position is taken off first: a small encoder's features tell foremost where a
    patch is. The foreground is the smaller side of the first axis, cut in two; no label is used.
    """
    rows = (features - features.mean(0)).permute(0, 2, 3, 1).double()
    components = principal_components(rows.flatten(0, 2), 3).view(*rows.shape[:3], 3)
    above = components[..., 0] > cut_in_two(components[..., 0].flatten())
    foreground = above if float(above.double().mean()) < 0.5 else ~above
    own = torch.zeros_like(components)
    if int(foreground.sum()) > 3:
        own[foreground] = _stretch(principal_components(rows[foreground], 3))
    everything = _stretch(components.flatten(0, 2)).view_as(components)
    return PatchColours(everything.permute(0, 3, 1, 2).float(), foreground, own.permute(0, 3, 1, 2).float())


def principal_components(rows: Float[Tensor, "n d"], count: int) -> Float[Tensor, "n c"]:
    """Coordinates along the axes of most variance; each axis points where its largest loading is positive."""
    centred = rows - rows.mean(0)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    axes = axes.flip(1)[:, :count]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return centred @ (axes * largest.sign())


def cut_in_two(values: Float[Tensor, " n"]) -> float:
    """The threshold that lies halfway between the means of its two sides (Ridler, Calvard 1978)."""
    threshold = float(values.mean())
    for _ in range(100):
        above = values > threshold
        if not bool(above.any()):
            break
        moved = float(values[above].mean() + values[~above].mean()) / 2
        if moved == threshold:
            break
        threshold = moved
    return threshold


def write_pca_sheet(path: Path, encoder: Encoder, scenes: Scenes) -> None:
    """Writes the first scenes, uncurated, above the colours of the encoder's last patch features."""
    images = scenes.images[:NUM_ANALYSED]
    features = patch_features(encoder, images, grid_side=GRID_SIDE, num_last_blocks=1).cpu()
    colours = patch_colours(features)
    rows = {
        "image": images,
        "patch features": colours.all_patches,
        "foreground only": colours.foreground_patches,
    }
    cells = [
        Row(name, [to_image(one, CELL_SIDE) for one in stack[:NUM_SCENES].numpy()])
        for name, stack in rows.items()
    ]
    write_atomically(path, png_bytes(sheet(cells)))


def _stretch(values: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Each component to [0, 1], its rarest two per cent at either end cut off."""
    low, high = np.quantile(values.numpy(), PERCENTILES, axis=0)
    return ((values - torch.from_numpy(low)) / torch.from_numpy(high - low).clamp_min(1e-12)).clamp(0, 1)
