"""A plain ViT as a folder for transformers: the same numbers under the names of its `Dinov2Model`.

That class, with its LayerScale at one, computes what timm's ViT computes, and its `pooler_output` is the cls
token after the last norm, which is SynCLR's representation. `ViTModel` would add a pooler that does not exist.
Needs no transformers to write.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from synclr_train.atomic_files import write_atomically

TRANSFORMERS_FOLDER = "transformers"
LAYER_NORM_EPS = 1e-6
"""timm's for every ViT."""
OF_EMBEDDINGS = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
OF_BLOCK = {
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "norm1": "norm1",
    "norm2": "norm2",
}


def no_transformers_class(config: Mapping[str, Any]) -> str | None:
    """None where transformers has the architecture, else one sentence that says why it has not."""
    arguments = config["model_args"]
    if "_r_" in config["architecture"]:
        return (
            "transformers has no class for a ViT with timm's convolutional stem: load this encoder with timm"
        )
    if not arguments["class_token"]:
        return "transformers has no class for a ViT without a cls token: load this encoder with timm"
    return None


def write_transformers_folder(
    state_dict: Mapping[str, Tensor], config: Mapping[str, Any], folder: Path
) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json for `AutoModel.from_pretrained`.

    `state_dict` and `config` are those of an export for which `no_transformers_class` is None.
    """
    about, arguments = config["synclr"], config["model_args"]
    side = about["image_size"]
    model = {
        "architectures": ["Dinov2Model"],
        "model_type": "dinov2",
        "hidden_size": arguments["embed_dim"],
        "num_hidden_layers": arguments["depth"],
        "num_attention_heads": arguments["num_heads"],
        "mlp_ratio": 4,
        "hidden_act": "gelu",
        "layer_norm_eps": LAYER_NORM_EPS,
        "image_size": side,
        "patch_size": arguments["patch_size"],
        "num_channels": 3,
        "qkv_bias": True,
        "layerscale_value": 1.0,
        "use_swiglu_ffn": False,
        "use_mask_token": False,
        "torch_dtype": "float32",
    }
    preprocessor = {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": side},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": about["mean"],
        "image_std": about["std"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    weights = save(transformers_weights(state_dict), metadata={"format": "pt"})
    write_atomically(folder / "model.safetensors", weights)
    write_atomically(folder / "config.json", (json.dumps(model, indent=2) + "\n").encode())
    write_atomically(
        folder / "preprocessor_config.json", (json.dumps(preprocessor, indent=2) + "\n").encode()
    )


def transformers_weights(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every tensor of a plain timm ViT under its name in `Dinov2Model`, queries, keys and values apart."""
    weights: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        if name in OF_EMBEDDINGS:
            weights[OF_EMBEDDINGS[name]] = tensor.contiguous()
            continue
        _, number, rest = name.split(".", 2)
        layer, (part, kind) = f"encoder.layer.{number}", rest.rsplit(".", 1)
        if part == "attn.qkv":
            for role, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                weights[f"{layer}.attention.attention.{role}.{kind}"] = piece.contiguous()
        else:
            weights[f"{layer}.{OF_BLOCK[part]}.{kind}"] = tensor.contiguous()
        if part == "norm1" and kind == "weight":
            for scale in ("layer_scale1", "layer_scale2"):
                weights[f"{layer}.{scale}.lambda1"] = torch.ones_like(tensor)
    return weights
