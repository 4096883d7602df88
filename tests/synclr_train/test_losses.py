"""Each term of the objective against a slow, obvious float64 implementation written from the equations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_train.losses import (
    concept_cross_entropy,
    effective_rank,
    masked_patch_cross_entropy,
    multi_positive_contrastive,
    sinkhorn_knopp,
)


def contrastive_by_hand(anchors, keys, anchor_labels, key_labels, excluded, temperature):
    """SynCLR eq. 1 to 4, one anchor and one key at a time."""
    losses = []
    for i, anchor in enumerate(anchors):
        usable = [k for k in range(len(keys)) if not excluded[i][k]]
        cosines = {k: anchor @ keys[k] / (np.linalg.norm(anchor) * np.linalg.norm(keys[k])) for k in usable}
        partition = sum(np.exp(cosine / temperature) for cosine in cosines.values())
        positives = [k for k in usable if key_labels[k] == anchor_labels[i]]
        losses.append(-np.mean([np.log(np.exp(cosines[k] / temperature) / partition) for k in positives]))
    return np.mean(losses)


@settings(max_examples=40, deadline=None)
@given(
    captions=st.integers(2, 6),
    views=st.integers(2, 4),
    locals_per_image=st.integers(0, 3),
    dim=st.integers(2, 9),
    exclude=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_contrast_follows_the_equations(captions, views, locals_per_image, dim, exclude, seed):
    generator = np.random.default_rng(seed)
    labels = np.arange(captions).repeat(views)
    keys = generator.normal(size=(len(labels), dim))
    for copies, leave_out in ((1, True), (locals_per_image, exclude)):
        if copies == 0:
            continue
        anchors = generator.normal(size=(copies * len(labels), dim))
        excluded = np.tile(np.eye(len(labels), dtype=bool), (copies, 1)) & leave_out
        anchor_labels = np.tile(labels, copies)
        expected = contrastive_by_hand(anchors, keys, anchor_labels, labels, excluded, 0.08)
        measured = multi_positive_contrastive(
            torch.tensor(anchors, dtype=torch.float32),
            torch.tensor(keys, dtype=torch.float32),
            torch.tensor(anchor_labels),
            torch.tensor(labels),
            torch.tensor(excluded) if leave_out else None,
            temperature=0.08,
        )
        assert float(measured) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_an_anchor_does_not_see_its_own_image():
    """An anchor equal to its own key would be trivially right; without that key it must look elsewhere."""
    keys = torch.eye(4)
    labels = torch.tensor([0, 0, 1, 1])
    own = torch.eye(4, dtype=torch.bool)
    seeing = multi_positive_contrastive(keys, keys, labels, labels, None, temperature=0.08)
    blind = multi_positive_contrastive(keys, keys, labels, labels, own, temperature=0.08)
    assert float(blind) == pytest.approx(np.log(3), rel=1e-5)
    assert float(seeing) != pytest.approx(float(blind), rel=1e-2)


def test_the_gradient_does_not_pass_through_excluded_keys():
    anchors = torch.randn(4, 3, requires_grad=True)
    keys = torch.randn(4, 3, requires_grad=True)
    labels = torch.tensor([0, 0, 0, 0])
    excluded = torch.zeros(4, 4, dtype=torch.bool)
    excluded[:, 2] = True
    multi_positive_contrastive(anchors, keys, labels, labels, excluded, temperature=0.08).backward()
    assert torch.isfinite(anchors.grad).all()
    assert torch.equal(keys.grad[2], torch.zeros(3))
    assert keys.grad[0].abs().sum() > 0


def sinkhorn_by_hand(scores, temperature, num_iterations):
    """SwAV's iteration, with explicit loops over prototypes and tokens."""
    assignment = np.exp(scores / temperature)
    num_tokens, num_prototypes = assignment.shape
    assignment /= assignment.sum()
    for _ in range(num_iterations):
        for prototype in range(num_prototypes):
            assignment[:, prototype] /= assignment[:, prototype].sum() * num_prototypes
        for token in range(num_tokens):
            assignment[token] /= assignment[token].sum() * num_tokens
    return assignment * num_tokens


@settings(max_examples=30, deadline=None)
@given(
    tokens=st.integers(1, 20),
    prototypes=st.integers(2, 30),
    temperature=st.floats(0.04, 0.07),
    seed=st.integers(0, 2**32 - 1),
)
def test_sinkhorn_follows_the_definition(tokens, prototypes, temperature, seed):
    scores = np.random.default_rng(seed).uniform(-1, 1, size=(tokens, prototypes))
    expected = sinkhorn_by_hand(scores, temperature, 3)
    measured = sinkhorn_knopp(
        torch.tensor(scores, dtype=torch.float32), temperature=temperature, num_iterations=3
    )
    np.testing.assert_allclose(measured.numpy(), expected, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(measured.sum(dim=1).numpy(), 1, rtol=1e-4)


def test_sinkhorn_balances_prototypes():
    """Tokens that all prefer one prototype are spread over the others."""
    scores = torch.rand(64, 8) * 0.1
    scores[:, 0] += 0.5
    totals = sinkhorn_knopp(scores, temperature=0.05, num_iterations=50).sum(dim=0)
    torch.testing.assert_close(totals, torch.full((8,), 8.0), rtol=0.05, atol=0.0)


def test_sinkhorn_survives_extreme_scores():
    scores = torch.tensor([[50.0, -50.0], [-50.0, -50.0]])
    assert torch.isfinite(sinkhorn_knopp(scores, temperature=0.04, num_iterations=3)).all()


@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(1, 5),
    patches=st.integers(1, 9),
    prototypes=st.integers(2, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_masked_image_weighs_the_same(images, patches, prototypes, seed):
    generator = np.random.default_rng(seed)
    masks = generator.random((images, patches)) < 0.5
    masks[0, 0] = True
    total = masks.sum()
    scores = generator.normal(size=(total, prototypes))
    targets = generator.dirichlet(np.ones(prototypes), size=total)
    image_of_token = np.nonzero(masks)[0]
    per_image = []
    for image in np.unique(image_of_token):
        losses = []
        for token in np.nonzero(image_of_token == image)[0]:
            logits = scores[token] / 0.1
            log_softmax = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
            losses.append(-(targets[token] * log_softmax).sum())
        per_image.append(np.mean(losses))
    measured = masked_patch_cross_entropy(
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(targets, dtype=torch.float32),
        torch.tensor(masks),
        student_temperature=0.1,
    )
    assert float(measured) == pytest.approx(np.mean(per_image), rel=1e-4)


def test_effective_rank_tells_collapse_from_spread():
    generator = torch.Generator().manual_seed(0)
    line = torch.randn(100, 1, generator=generator) @ torch.randn(1, 8, generator=generator)
    spread = torch.randn(2000, 8, generator=generator)
    assert effective_rank(line + 5) == pytest.approx(1, abs=0.05)
    assert effective_rank(spread) == pytest.approx(8, abs=0.1)
    assert effective_rank(torch.ones(10, 4)) == pytest.approx(1, abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(crops=st.integers(1, 9), concepts=st.integers(2, 7), seed=st.integers(0, 2**32 - 1))
def test_supervised_cross_entropy_follows_its_definition(crops, concepts, seed):
    generator = np.random.default_rng(seed)
    scores, labels = generator.normal(size=(crops, concepts)), generator.integers(concepts, size=crops)
    expected = np.mean(
        [-np.log(np.exp(row[label]) / np.exp(row).sum()) for row, label in zip(scores, labels, strict=True)]
    )
    measured = concept_cross_entropy(torch.tensor(scores, dtype=torch.float32), torch.tensor(labels))
    assert float(measured) == pytest.approx(expected, rel=1e-5)
