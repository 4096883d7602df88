"""The hand-written gradient of masked patch prediction against float64 autograd of the equation."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from synclr_train.losses import ROWS_AT_ONCE, masked_patch_cross_entropy

TOLERANCE = 1e-6
"""Of a row's steepest slope, and of the loss. Over 3000 examples the greatest errors are 4.3e-7 and 3.5e-7."""


def by_the_equation(scores: Tensor, targets: Tensor, masks: Tensor, temperature: float) -> Tensor:
    """Mean over masked images of the mean over their tokens of -sum(target * log softmax(score / temperature))."""
    of_token = -(targets * torch.log_softmax(scores / temperature, dim=1)).sum(dim=1)
    image_of_token = masks.nonzero()[:, 0]
    return torch.stack([of_token[image_of_token == image].mean() for image in image_of_token.unique()]).mean()


def weight_of_tokens(masks: Tensor) -> Tensor:
    """What each masked token's cross-entropy weighs: no slope of its row is greater than this / temperature."""
    masked = masks.sum(dim=1)
    return (1 / (masked * (masked > 0).sum()).double())[masks.nonzero()[:, 0]]


def drawn(images: int, patches: int, prototypes: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """float64 cosines and assignments of the masked tokens, and masks; some images are unmasked."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(images, patches, generator=generator) < torch.rand(images, 1, generator=generator)
    masks[0, 0] = True
    shape = (int(masks.sum()), prototypes)
    cosines = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
    # A row of Sinkhorn-Knopp's sums to 1 only when converged: the gradient must not take that for granted.
    assignment = torch.softmax(torch.randn(shape, generator=generator, dtype=torch.float64) * 4, dim=1)
    assignment *= 0.5 + torch.rand(shape[0], 1, generator=generator)
    return cosines.float().double(), assignment.float().double(), masks


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 6),
    patches=st.integers(1, 2 * ROWS_AT_ONCE),
    prototypes=st.integers(1, 300),
    temperature=st.floats(0.05, 1.0),
    outer=st.sampled_from([1.0, -0.25, 3.0, 2.0**16]),
    seed=st.integers(0, 2**32 - 1),
)
@example(images=1, patches=1, prototypes=1, temperature=0.1, outer=1.0, seed=0)
@example(images=4, patches=2 * ROWS_AT_ONCE, prototypes=4096, temperature=0.1, outer=1.0, seed=0)
def test_loss_and_gradient_are_those_of_the_equation(images, patches, prototypes, temperature, outer, seed):
    cosines, assignment, masks = drawn(images, patches, prototypes, seed)
    exact = cosines.clone().requires_grad_()
    expected = by_the_equation(exact, assignment, masks, temperature)
    (expected * outer).backward()
    scores = cosines.float().requires_grad_()
    measured = masked_patch_cross_entropy(scores, assignment.float(), masks, student_temperature=temperature)
    (measured * outer).backward()
    assert exact.grad is not None
    assert scores.grad is not None
    assert float(measured.detach()) == pytest.approx(float(expected.detach()), rel=TOLERANCE, abs=TOLERANCE)
    error = (scores.grad.double() - exact.grad).abs().amax(dim=1)
    steepest = abs(outer) * weight_of_tokens(masks) * assignment.sum(dim=1) / temperature
    assert bool((error <= TOLERANCE * steepest).all())


def test_bfloat16_scores_have_a_bfloat16_gradient():
    """Mixed precision: the gradient is made in float32 and rounded once."""
    cosines, assignment, masks = drawn(4, 20, 50, seed=0)
    halved = cosines.bfloat16()
    exact = halved.double().requires_grad_()
    by_the_equation(exact, assignment, masks, 0.1).backward()
    scores = halved.requires_grad_()
    masked_patch_cross_entropy(scores, assignment.float(), masks, student_temperature=0.1).backward()
    assert exact.grad is not None
    assert scores.grad is not None
    assert scores.grad.dtype == torch.bfloat16
    steepest = (weight_of_tokens(masks) * assignment.sum(dim=1) / 0.1).unsqueeze(1)
    error = (scores.grad.double() - exact.grad).abs()
    assert bool((error <= 2**-8 * exact.grad.abs() + TOLERANCE * steepest).all())
