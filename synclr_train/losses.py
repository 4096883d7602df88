"""The objective's terms: multi-positive contrast and masked patch prediction, over all devices.

Pure functions of tensors; under torch.distributed they gather keys and balance prototypes over every
process, so that the mean over processes equals the loss of one process holding the joined batch.
"""

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.distributed.nn.functional import all_gather as all_gather_with_gradient
from torch.nn import functional


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


def sinkhorn_knopp(
    scores: Float[Tensor, "tokens prototypes"], *, temperature: float, num_iterations: int
) -> Float[Tensor, "tokens prototypes"]:
    """Soft assignment of tokens to prototypes, balanced over all tokens of all devices (SynCLR 3.3; SwAV).

    Each iteration gives every prototype the same total, then every token the total 1.
    """
    scores = scores.float() / temperature
    assignment = torch.exp(scores - _reduced(scores.max(), dist.ReduceOp.MAX))
    num_tokens = _reduced(torch.tensor(float(len(scores)), device=scores.device), dist.ReduceOp.SUM)
    smallest = torch.finfo(assignment.dtype).tiny
    for _ in range(num_iterations):
        per_prototype = _reduced(assignment.sum(dim=0), dist.ReduceOp.SUM).clamp(min=smallest)
        assignment = assignment * (num_tokens / (per_prototype * assignment.shape[1]))
        assignment = assignment / assignment.sum(dim=1, keepdim=True).clamp(min=smallest)
    return assignment


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
    per_token = -(
        teacher_assignment * functional.log_softmax(student_scores.float() / student_temperature, dim=-1)
    ).sum(-1)
    masked_per_image = masks.sum(dim=1)
    weights = (1.0 / masked_per_image.clamp(min=1)).unsqueeze(1).expand(masks.shape)[masks]
    return (per_token * weights).sum() / (masked_per_image > 0).sum()


def gather(tensor: Tensor, *, with_gradient: bool = False) -> Tensor:
    """The rows of all processes, in rank order; the tensor itself when there is one process."""
    if not (dist.is_available() and dist.is_initialized()):
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
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(tensor, op=operation)
    return tensor
