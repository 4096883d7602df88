"""Reading a published checkpoint (.pth) of a plain ViT into a folder that probes, segments and exports.

SynCLR's released files hold timm's names, maybe below a wrapper. Nothing of a file is ever executed: a pickle that
asks for more than tensors is refused.
"""

import hashlib
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synclr_train.backbone import build_vit
from synclr_train.config import Recipe
from synclr_train.export import encoder_config, write_encoder
from synclr_train.recipes import get_recipe

ARCHITECTURES = ("vit_s16", "vit_b16", "vit_l14")
WRAPPERS = ("model", "state_dict", "model_state_dict", "teacher", "student", "network")
"""Keys under which a file may hold its weights, in the order in which they are opened."""
PREFIXES = ("module.", "visual.", "teacher.", "student.", "backbone.", "encoder.")
"""What may stand before a name: DataParallel's, the reference evaluation's, those of training wrappers."""
NOT_OF_THE_ENCODER = ("head.", "fc.", "proj.", "pred.", "dino_head.", "mask_token", "feature_decoder.")
"""Beginnings of names that belong to training or to a classifier and are left out."""
MOST_NAMED = 3
FIRST_BYTES = (b"PK", b"\x80")
"""How a PyTorch file begins: a zip archive, or the pickle of older versions."""


def import_checkpoint(file: Path, arch: str, out_dir: Path) -> str:
    """Convert `file` into an encoder folder of architecture `arch`. Returns the SHA-256 of its weights, in hex.

    Where a file holds a teacher and a student, the teacher is taken. Raises ValueError in one sentence for a file
    that is none, would execute code, or does not hold exactly the architecture's tensors.
    """
    if arch not in ARCHITECTURES:
        raise ValueError(f"architecture {arch!r} is unknown: choose among {', '.join(ARCHITECTURES)}")
    recipe = get_recipe(arch)
    weights = plain_weights(read_tensors(file), recipe, file)
    about = {"recipe": None, "imported_from": file.name, "imported_sha256": _sha256_of(file)}
    config = encoder_config(recipe.backbone, recipe.augment.mean, recipe.augment.std, about)
    return write_encoder(weights, config, out_dir)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Every tensor below the file's first wrapper that holds any. Raises ValueError; never executes the file."""
    if not file.is_file():
        raise ValueError(f"{file} does not exist: give the path of a .pth file")
    with file.open("rb") as handle:
        if not handle.read(2).startswith(FIRST_BYTES):
            raise ValueError(f"{file} is no PyTorch checkpoint: download it again")
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{file} asks to run code or holds more than tensors, so it was not opened: take the weights from a "
            "source you trust, saved as a plain state dict"
        ) from error
    except (EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} is no PyTorch checkpoint: download it again") from error
    while isinstance(content, Mapping) and (
        inner := [key for key in WRAPPERS if isinstance(content.get(key), Mapping)]
    ):
        content = content[inner[0]]
    tensors = (
        {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        raise ValueError(f"{file} holds no weights by name: give a checkpoint with a state dict")
    return tensors


def plain_weights(tensors: Mapping[str, Tensor], recipe: Recipe, file: Path) -> dict[str, Tensor]:
    """The tensors of the recipe's ViT, stripped of prefixes, in float32. Raises ValueError naming what is wrong."""
    with torch.device("meta"):
        expected = {name: value.shape for name, value in build_vit(recipe.backbone).state_dict().items()}
    stripped = strip_prefixes(tensors)
    found = {name: value for name, value in stripped.items() if not name.startswith(NOT_OF_THE_ENCODER)}
    if missing := [name for name in expected if name not in found]:
        raise ValueError(f"{file} lacks {_some(missing)} of {recipe.name}: choose another --arch or file")
    if unknown := [name for name in found if name not in expected]:
        raise ValueError(
            f"{file} holds {_some(unknown)}, unknown to {recipe.name}: choose another --arch or file"
        )
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise ValueError(
                f"{file} holds {name} of shape {tuple(found[name].shape)}, but {recipe.name} has {tuple(shape)}: "
                "choose another --arch or file"
            )
        if not bool(torch.isfinite(found[name]).all()):
            raise ValueError(f"{file} holds NaN or infinite numbers in {name}: download it again")
    return {name: found[name].float() for name in expected}


def strip_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names below the prefix at which a patch embedding stands; of several, a teacher's comes first."""
    anchor = "patch_embed.proj.weight"
    prefixes = [
        name.removesuffix(anchor) for name in tensors if name.endswith(anchor) and _is_prefix(name, anchor)
    ]
    if not prefixes:
        return dict(tensors)
    prefix = min(prefixes, key=lambda one: ("teacher." not in one, "student." in one))
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _is_prefix(name: str, anchor: str) -> bool:
    rest = name.removesuffix(anchor)
    while known := next((prefix for prefix in PREFIXES if rest.startswith(prefix)), None):
        rest = rest.removeprefix(known)
    return rest == ""


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"


def _sha256_of(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
