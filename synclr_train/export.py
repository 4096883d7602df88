"""Writing a trained backbone as a folder that plain timm loads, without this package.

`timm.create_model("local-dir:FOLDER", pretrained=True)` is enough; so is
`model = timm.create_model(config["architecture"], **config["model_args"])` followed by
`model.load_state_dict(safetensors.torch.load_file("FOLDER/encoder.safetensors"))`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save
from torch import Tensor

from synclr_train.atomic_files import write_atomically
from synclr_train.backbone import CONFIG_FILE, WEIGHTS_FILE, timm_arguments
from synclr_train.checkpointing import read_networks
from synclr_train.config import Recipe

RECIPE_FILE = "recipe.json"


def export_encoder(state_dict: dict[str, Tensor], recipe: Recipe, folder: Path) -> str:
    """Write `encoder.safetensors` and `config.json` of a timm ViT's `state_dict` into `folder`.

    Each file appears whole or not at all. Returns the SHA-256 of the weights file, in hex.
    """
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()})
    write_atomically(folder / WEIGHTS_FILE, weights)
    write_atomically(folder / CONFIG_FILE, (json.dumps(timm_config(recipe), indent=2) + "\n").encode())
    return hashlib.sha256(weights).hexdigest()


def export_resume_point(
    run_dir: Path, out_dir: Path, *, network: Literal["student", "teacher"] | None = None
) -> str:
    """Export the backbone of the last resume point of the run in `run_dir` into `out_dir`.

    `network` replaces the recipe's `export_network`. Returns the SHA-256 of the weights file, in hex. Raises
    ValueError when `run_dir` holds no run or the run has no such network.
    """
    if not (run_dir / RECIPE_FILE).is_file():
        raise ValueError(f"{run_dir} holds no run ({RECIPE_FILE} is missing): name a folder written by `fit`")
    recipe = Recipe.model_validate_json((run_dir / RECIPE_FILE).read_bytes())
    if network is not None:
        recipe = recipe.varied(export_network=network)
    prefix = f"{recipe.export_network}.backbone.vit."
    networks = read_networks(run_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    vit = {name.removeprefix(prefix): tensor for name, tensor in networks.items() if name.startswith(prefix)}
    return export_encoder(vit, recipe, out_dir)


def timm_config(recipe: Recipe) -> dict[str, Any]:
    """The exported config.json: timm's own keys, and a `synclr` part with what evaluations need."""
    architecture, arguments = timm_arguments(recipe.backbone)
    side = recipe.backbone.image_size
    return {
        "architecture": architecture,
        "num_classes": 0,
        "num_features": recipe.backbone.embed_dim,
        "global_pool": recipe.backbone.pooling,
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [3, side, side],
            "fixed_input_size": False,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "mean": list(recipe.augment.mean),
            "std": list(recipe.augment.std),
            "num_classes": 0,
            "first_conv": None,
            "classifier": "head",
        },
        "synclr": {
            "recipe": recipe.name,
            "recipe_fingerprint": recipe.fingerprint,
            "network": recipe.export_network,
            "image_size": side,
            "patch_size": recipe.backbone.patch_size,
            "embed_dim": recipe.backbone.embed_dim,
            "depth": recipe.backbone.depth,
            "pooling": recipe.backbone.pooling,
            "mean": list(recipe.augment.mean),
            "std": list(recipe.augment.std),
            "load_with": [
                "import timm",
                "model = timm.create_model('local-dir:THIS_FOLDER', pretrained=True).eval()",
                "features = model(images)  # float (batch, 3, height, width), normalised by mean and std",
            ],
        },
    }
