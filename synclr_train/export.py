"""Writing a backbone as a folder that others load without this package: plain timm, transformers, people.

`timm.create_model("local-dir:FOLDER", pretrained=True)` is enough for timm; `AutoModel.from_pretrained(
"FOLDER/transformers")` for transformers, where it has the architecture; README.md tells people what it is.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import load_file, save
from torch import Tensor

from synclr_train.atomic_files import write_atomically
from synclr_train.backbone import CONFIG_FILE, WEIGHTS_FILE, read_config, timm_arguments
from synclr_train.checkpointing import read_networks
from synclr_train.config import BackboneConfig, Recipe, Rgb
from synclr_train.model_card import Provenance, model_card
from synclr_train.transformers_folder import (
    TRANSFORMERS_FOLDER,
    no_transformers_class,
    write_transformers_folder,
)

RECIPE_FILE = "recipe.json"
CARD_FILE = "README.md"


def export_encoder(state_dict: Mapping[str, Tensor], recipe: Recipe, folder: Path) -> str:
    """Write `encoder.safetensors` and `config.json` of a timm ViT's `state_dict` into `folder`.

    Each file appears whole or not at all. Returns the SHA-256 of the weights file, in hex.
    """
    return write_encoder(state_dict, timm_config(recipe), folder)


def write_encoder(state_dict: Mapping[str, Tensor], config: Mapping[str, Any], folder: Path) -> str:
    """The same from a complete `config`, as `encoder_config` makes it; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()})
    write_atomically(folder / WEIGHTS_FILE, weights)
    write_atomically(folder / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())
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
    vit = {name.removeprefix(prefix): tensor for name, tensor in networks.items() if name.startswith(prefix)}
    return export_encoder(vit, recipe, out_dir)


def publish(source_dir: Path, out_dir: Path, provenance: Provenance | None = None) -> str | None:
    """Turn the encoder in `source_dir` into a folder to hand on, `out_dir`: timm, transformers, model card.

    Returns None, or one sentence that says why transformers is left out. Without `provenance` the card says
    what the encoder's own config.json knows. Raises ValueError when `source_dir` holds no encoder.
    """
    config = read_config(source_dir)
    state_dict = load_file(source_dir / WEIGHTS_FILE)
    sha256 = write_encoder(state_dict, config, out_dir)
    refusal = no_transformers_class(config)
    if refusal is None:
        write_transformers_folder(state_dict, config, out_dir / TRANSFORMERS_FOLDER)
    card = model_card(config, sha256, provenance or Provenance(), has_transformers=refusal is None)
    write_atomically(out_dir / CARD_FILE, card.encode())
    return refusal


def timm_config(recipe: Recipe) -> dict[str, Any]:
    """The config.json of a trained recipe."""
    about = {
        "recipe": recipe.name,
        "recipe_fingerprint": recipe.fingerprint,
        "network": recipe.export_network,
    }
    return encoder_config(recipe.backbone, recipe.augment.mean, recipe.augment.std, about)


def encoder_config(
    backbone: BackboneConfig, mean: Rgb, std: Rgb, about: Mapping[str, object]
) -> dict[str, Any]:
    """An exported config.json: timm's own keys, and a `synclr` part with `about` and what evaluations need."""
    architecture, arguments = timm_arguments(backbone)
    side = backbone.image_size
    return {
        "architecture": architecture,
        "num_classes": 0,
        "num_features": backbone.embed_dim,
        "global_pool": backbone.pooling,
        "model_args": arguments,
        "pretrained_cfg": {
            "hf_hub_filename": WEIGHTS_FILE,
            "input_size": [3, side, side],
            "fixed_input_size": False,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "mean": list(mean),
            "std": list(std),
            "num_classes": 0,
            "first_conv": None,
            "classifier": "head",
        },
        "synclr": {
            **about,
            "stem": backbone.stem,
            "image_size": side,
            "patch_size": backbone.patch_size,
            "embed_dim": backbone.embed_dim,
            "depth": backbone.depth,
            "num_heads": backbone.num_heads,
            "pooling": backbone.pooling,
            "mean": list(mean),
            "std": list(std),
            "load_with": [
                "import timm",
                "model = timm.create_model('local-dir:THIS_FOLDER', pretrained=True).eval()",
                "features = model(images)  # float (batch, 3, height, width), normalised by mean and std",
            ],
        },
    }
