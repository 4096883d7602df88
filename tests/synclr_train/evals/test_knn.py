"""Weighted kNN agrees with a loop over neighbours, and chooses k without the scored rows."""

import math

import pytest
import torch

from synclr_train.evals import knn
from synclr_train.evals.features import RoleFeatures
from synclr_train.evals.knn import choose_and_predict, predict_knn


def slow_vote(bank, labels, query, k: int, temperature: float) -> int:
    cosines = [
        (float(row @ query / (row.norm() * query.norm())), int(label))
        for row, label in zip(bank, labels, strict=True)
    ]
    tally: dict[int, float] = {}
    for cosine, label in sorted(cosines, reverse=True)[:k]:
        tally[label] = tally.get(label, 0.0) + math.exp(cosine / temperature)
    return max(tally, key=lambda label: tally[label])


@pytest.mark.parametrize("chunk_rows", [3, 1024])
def test_votes_match_the_slow_loop(monkeypatch, chunk_rows):
    monkeypatch.setattr(knn, "CHUNK_ROWS", chunk_rows)
    generator = torch.Generator().manual_seed(0)
    bank = torch.randn(40, 6, dtype=torch.float64, generator=generator)
    queries = torch.randn(10, 6, dtype=torch.float64, generator=generator)
    labels = torch.arange(40) % 4
    neighbours = (1, 3, 7, 100)
    found = predict_knn(bank, labels, queries, neighbours=neighbours, num_classes=4, temperature=0.3)
    expected = [[slow_vote(bank, labels, query, k, 0.3) for query in queries] for k in neighbours]
    assert found.tolist() == expected


def test_scored_labels_have_no_say():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(60, 5, dtype=torch.float64, generator=generator)
    labels = torch.arange(60) % 3
    shuffled = labels.clone()
    shuffled[50:] = (shuffled[50:] + 1) % 3
    results = [
        choose_and_predict(RoleFeatures(features, given, 30, 20, 3), neighbours=(1, 5, 9), temperature=0.07)
        for given in (labels, shuffled)
    ]
    assert results[0].num_neighbours == results[1].num_neighbours
    assert (results[0].predictions == results[1].predictions).all()


def test_k_is_not_chosen_on_rows_that_are_their_own_neighbours():
    generator = torch.Generator().manual_seed(2)
    kinds = torch.arange(300) % 2
    directions = torch.eye(2, dtype=torch.float64)[kinds]
    features = directions + 0.1 * torch.randn(300, 2, dtype=torch.float64, generator=generator)
    misnamed = torch.rand(300, generator=generator) < 0.3
    labels = torch.where(misnamed, 1 - kinds, kinds)
    rows = RoleFeatures(features, labels, 150, 100, 2)
    assert choose_and_predict(rows, neighbours=(1, 25), temperature=1.0).num_neighbours == 25
