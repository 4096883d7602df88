"""Several linear classifiers trained by SGD at once, one per learning rate, on the same batches.

They share the features and the BatchNorm before them, which has no parameters; each has its own momentum.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

INITIAL_DEVIATION = 0.01
"""Standard deviation of the initial weights, as in the authors' probe; biases begin at 0."""
NORM_EPSILON = 1e-6


class SgdClassifiers(nn.Module):
    """Linear classifiers with one set of initial weights and a learning rate each (SynCLR appendix B)."""

    rates: Tensor
    weights: Tensor
    biases: Tensor
    weight_momenta: Tensor
    bias_momenta: Tensor

    def __init__(
        self,
        num_dims: int,
        num_classes: int,
        learning_rates: Sequence[float],
        *,
        num_steps: int,
        momentum: float,
        batch_norm: bool,
        generator: torch.Generator,
    ) -> None:
        """`learning_rates` are the peaks, already multiplied by batch / 256; the cosine ends after `num_steps`."""
        super().__init__()
        first = torch.randn(num_dims, num_classes, generator=generator) * INITIAL_DEVIATION
        num_rates = len(learning_rates)
        self.norm = nn.BatchNorm1d(num_dims, affine=False, eps=NORM_EPSILON) if batch_norm else nn.Identity()
        self.register_buffer("rates", torch.tensor(learning_rates)[:, None, None])
        self.register_buffer("weights", first.expand(num_rates, -1, -1).clone())
        self.register_buffer("biases", torch.zeros(num_rates, 1, num_classes))
        self.register_buffer("weight_momenta", torch.zeros_like(self.weights))
        self.register_buffer("bias_momenta", torch.zeros_like(self.biases))
        self.num_steps, self.momentum, self.step = num_steps, momentum, 0

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "l b k"]:
        """Logits of every classifier."""
        normed = self.norm(features)
        return torch.baddbmm(self.biases, normed.expand(len(self.weights), -1, -1), self.weights)

    @torch.no_grad()
    def train_batch(self, features: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> Float[Tensor, " l"]:
        """One step of every classifier; returns their cross-entropies before it."""
        self.train()
        normed = self.norm(features)
        logits = torch.baddbmm(self.biases, normed.expand(len(self.weights), -1, -1), self.weights)
        log_probabilities = logits.log_softmax(-1)
        targets = nn.functional.one_hot(labels, logits.shape[-1]).to(logits)
        residual = (log_probabilities.exp() - targets) / len(labels)
        self.weight_momenta.mul_(self.momentum).add_(normed.T @ residual)
        self.bias_momenta.mul_(self.momentum).add_(residual.sum(1, keepdim=True))
        now = self.rates * (0.5 * (1 + math.cos(math.pi * self.step / self.num_steps)))
        self.weights.sub_(now * self.weight_momenta)
        self.biases.sub_(now * self.bias_momenta)
        self.step += 1
        return -(log_probabilities * targets).sum(-1).mean(-1)

    @torch.no_grad()
    def predict(self, batches: Iterable[Float[Tensor, "b d"]]) -> Int[Tensor, "l n"]:
        """The winning class of every row by every classifier, with the statistics of training."""
        self.eval()
        return torch.cat([self(batch).argmax(-1).cpu() for batch in batches], dim=1)
