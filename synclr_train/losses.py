"""The objective's terms: multi-positive contrast and masked patch prediction, over all devices.

Pure functions of tensors; under torch.distributed they gather keys and balance prototypes over every
process, so that the mean over processes equals the loss of one process holding the joined batch.
"""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed.nn.functional import all_gather as all_gather_with_gradient
from torch.nn import functional

SMALLEST_TOTAL = 1e-30
"""Sinkhorn-Knopp's totals are held above this, so that a prototype nobody wants divides nothing by 0."""
ROWS_AT_ONCE = 32
"""Tokens whose scores are worked on together: with 65 536 prototypes 8 MiB, which caches hold."""


def multi_positive_contrastive(
    anchors: Float[Tensor, "anchors d"],
    keys: Float[Tensor, "keys d"],
    anchor_labels: Int[Tensor, " anchors"],
    key_labels: Int[Tensor, " keys"],
    excluded: Bool[Tensor, "anchors keys"] | None,
    *,
    temperature: float,
) -> Float[Tensor, ""]:
    """Mean cross-entropy between softmax(anchor . key / temperature) and the keys of the anchor's label.

    `anchors` and `keys` are normalised here. Keys that are True in an anchor's row of `excluded` (those of
    its own image) are left out of numerator and denominator; None leaves nothing out. SynCLR eq. 1 to 4.
    Every anchor must keep at least one positive.
    """
    anchors = functional.normalize(anchors.float(), dim=-1)
    keys = functional.normalize(keys.float(), dim=-1)
    logits = anchors @ keys.T / temperature
    positives = anchor_labels.unsqueeze(1) == key_labels.unsqueeze(0)
    if excluded is not None:
        logits = logits.masked_fill(excluded, -torch.inf)
        positives = positives & ~excluded
    log_partition = logits.logsumexp(dim=1)
    mean_positive = logits.masked_fill(~positives, 0.0).sum(dim=1) / positives.sum(dim=1)
    return (log_partition - mean_positive).mean()


def concept_cross_entropy(
    scores: Float[Tensor, "crops concepts"], labels: Int[Tensor, " crops"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy between softmax(scores) and each crop's concept (the supervised row of table 5)."""
    return functional.cross_entropy(scores.float(), labels)


def sinkhorn_knopp(
    scores: Float[Tensor, "tokens prototypes"], *, temperature: float, num_iterations: int
) -> Float[Tensor, "tokens prototypes"]:
    """Soft assignment of tokens to prototypes, balanced over all tokens of all devices (SynCLR 3.3; SwAV).

    Each iteration gives every prototype the same total, then every token the total 1.
    """
    greatest = _reduced(scores.max().float(), dist.ReduceOp.MAX)
    num_tokens = _reduced(torch.tensor(float(len(scores)), device=scores.device), dist.ReduceOp.SUM)
    kernel = torch.empty(scores.shape, dtype=torch.float32, device=scores.device)
    for rows in (slice(start, start + ROWS_AT_ONCE) for start in range(0, len(scores), ROWS_AT_ONCE)):
        kernel[rows] = scores[rows].float().sub_(greatest).div_(temperature).exp_()
    # The result is always the kernel with scaled rows and columns, so the iterations move two vectors alone.
    per_token = kernel.new_ones(len(kernel))
    per_prototype = kernel.new_ones(kernel.shape[1])
    for _ in range(num_iterations):
        totals = _reduced(per_token @ kernel, dist.ReduceOp.SUM).clamp_(min=SMALLEST_TOTAL)
        per_prototype = num_tokens / (totals * kernel.shape[1])
        per_token = 1 / (kernel @ per_prototype).clamp_(min=SMALLEST_TOTAL)
    return kernel.mul_(per_token.unsqueeze(1)).mul_(per_prototype)


def masked_patch_cross_entropy(
    student_scores: Float[Tensor, "tokens prototypes"],
    teacher_assignment: Float[Tensor, "tokens prototypes"],
    masks: Bool[Tensor, "images patches"],
    *,
    student_temperature: float,
) -> Float[Tensor, ""]:
    """Cross-entropy of masked tokens, every masked image weighing the same (SynCLR 3.3; iBOT).

    Tokens are ordered as `masks.nonzero()`. At least one patch must be masked.
    """
    masked_per_image = masks.sum(dim=1)
    weights = (1.0 / masked_per_image.clamp(min=1)).unsqueeze(1).expand(masks.shape)[masks]
    weights = weights / (masked_per_image > 0).sum()
    total: Tensor = _WeightedCrossEntropy.apply(
        student_scores, teacher_assignment, weights, student_temperature
    )
    return total


class _WeightedCrossEntropy(torch.autograd.Function):
    """Weighted sum of the cross-entropies of rows; the gradient is made in the same pass over the scores, a few
    rows at a time, because 65 536 prototypes make every further pass a walk through main memory."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, targets: Tensor, weights: Tensor, temperature: float
    ) -> Float[Tensor, ""]:
        gradient = torch.empty_like(scores) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=scores.device)
        for start in range(0, len(scores), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            wanted, share = targets[rows], weights[rows].unsqueeze(1)
            log_probabilities = torch.log_softmax(scores[rows].float() / temperature, dim=1)
            # Not einsum: it makes of this a product per row, on one core.
            total -= torch.linalg.vecdot(wanted, log_probabilities) @ weights[rows]
            if gradient is not None:
                mass = wanted.sum(dim=1, keepdim=True)
                slope = log_probabilities.exp_().mul_(mass * share).addcmul_(wanted, share, value=-1)
                gradient[rows] = slope.div_(temperature)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer[0].to(gradient.dtype), None, None, None


def is_shared() -> bool:
    """Whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized()


def gather(tensor: Tensor, *, with_gradient: bool = False) -> Tensor:
    """The rows of all processes, in rank order; the tensor itself when there is one process."""
    if not is_shared():
        return tensor
    if with_gradient:
        return torch.cat(all_gather_with_gradient(tensor))
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def effective_rank(features: Float[Tensor, "n d"]) -> float:
    """exp of the entropy of the centred features' normalised singular values: 1 when collapsed, at most d.

    Roy and Vetterli, "The effective rank" (EUSIPCO 2007).
    """
    centred = features.detach().float() - features.detach().float().mean(dim=0)
    values = torch.linalg.svdvals(centred)
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return float(torch.exp(torch.special.entr(shares).sum()))


def _reduced(tensor: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
    if is_shared():
        dist.all_reduce(tensor, op=operation)
    return tensor
