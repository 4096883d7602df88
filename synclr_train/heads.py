"""What stands between the backbone and the losses, in training only: projector, predictor, iBOT head."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from synclr_train.config import HeadsConfig, IbotConfig


def build_projector(embed_dim: int, config: HeadsConfig) -> nn.Sequential:
    """From the representation to the embedding that is contrasted (SynCLR 3.4: 3 layers, 4096, 256)."""
    return _contrastive_mlp(embed_dim, config, config.projector_layers)


def build_predictor(config: HeadsConfig) -> nn.Sequential:
    """The student's guess of the teacher's embedding (MoCo v3; SynCLR 3.4: 2 layers)."""
    return _contrastive_mlp(config.output_dim, config, config.predictor_layers)


class IbotHead(nn.Module):
    """Scores of patch tokens against learnt prototypes: MLP, then weight-normalised layer (DINO, iBOT)."""

    def __init__(self, embed_dim: int, config: IbotConfig) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(embed_dim, config.hidden_dim),
            nn.GELU(),
            nn.Linear(config.hidden_dim, config.hidden_dim),
            nn.GELU(),
            nn.Linear(config.hidden_dim, config.bottleneck_dim),
        )
        _initialise(self.mlp)
        self.directions = nn.Parameter(torch.empty(config.num_prototypes, config.bottleneck_dim))
        nn.init.trunc_normal_(self.directions, std=0.02)
        self.lengths = nn.Parameter(torch.ones(config.num_prototypes))

    def forward(self, tokens: Float[Tensor, "n d"]) -> Float[Tensor, "n prototypes"]:
        """Cosine of each token's bottleneck with each prototype's direction, times the prototype's length."""
        bottleneck = functional.normalize(self.mlp(tokens), dim=-1)
        prototypes = functional.normalize(self.directions, dim=-1) * self.lengths.unsqueeze(-1)
        return functional.linear(bottleneck, prototypes)


def _contrastive_mlp(input_dim: int, config: HeadsConfig, num_layers: int) -> nn.Sequential:
    """Hidden layers with norm and activation; the last layer has no bias and a norm without affine part."""
    batch_norm = config.norm == "batch"
    layers: list[nn.Module] = []
    for _ in range(num_layers - 1):
        layers.append(nn.Linear(input_dim, config.hidden_dim, bias=not batch_norm))
        layers.append(nn.BatchNorm1d(config.hidden_dim) if batch_norm else nn.LayerNorm(config.hidden_dim))
        layers.append(nn.ReLU() if batch_norm else nn.GELU())
        input_dim = config.hidden_dim
    layers.append(nn.Linear(input_dim, config.output_dim, bias=False))
    layers.append(
        nn.BatchNorm1d(config.output_dim, affine=False)
        if batch_norm
        else nn.LayerNorm(config.output_dim, elementwise_affine=False)
    )
    mlp = nn.Sequential(*layers)
    _initialise(mlp)
    return mlp


def _initialise(mlp: nn.Sequential) -> None:
    for layer in mlp:
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
