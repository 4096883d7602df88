"""Weighted nearest-neighbour classification by cosine: nothing is fitted, so only the features can score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from synclr_train.evals.features import RoleFeatures

CHUNK_ROWS = 1024


@dataclass(frozen=True)
class NearestNeighbours:
    """Predicted class of every score row, and the number of neighbours chosen before."""

    predictions: Int[np.ndarray, " n"]
    num_neighbours: int


def unit_length(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows divided by their length; a zero row stays zero."""
    return torch.nn.functional.normalize(features, dim=1)


def predict_knn(
    bank: Float[Tensor, "m d"],
    bank_labels: Int[Tensor, " m"],
    queries: Float[Tensor, "n d"],
    *,
    neighbours: Sequence[int],
    num_classes: int,
    temperature: float,
) -> Int[Tensor, "k n"]:
    """The class with most votes among each query's k most similar bank rows, for every k of `neighbours`.

    A vote weighs exp(cosine / temperature). A k beyond the bank's size means the whole bank.
    """
    bank, queries = unit_length(bank), unit_length(queries)
    largest = min(max(neighbours), len(bank))
    predictions = []
    for start in range(0, len(queries), CHUNK_ROWS):
        similarity, nearest = (queries[start : start + CHUNK_ROWS] @ bank.T).topk(largest, dim=1)
        votes = torch.nn.functional.one_hot(bank_labels[nearest].long(), num_classes).to(similarity)
        votes = votes * ((similarity - similarity[:, :1]) / temperature).exp()[:, :, None]
        tallies = votes.cumsum(1)
        predictions.append(torch.stack([tallies[:, min(k, largest) - 1].argmax(1) for k in neighbours]))
    return torch.cat(predictions, dim=1)


def choose_and_predict(
    rows: RoleFeatures, *, neighbours: Sequence[int], temperature: float
) -> NearestNeighbours:
    """k is chosen with the fit rows as bank and the choose rows as queries; both together are the final bank.

    Among equally good numbers of neighbours the smallest wins.
    """
    ascending = sorted(neighbours)

    def predict(bank: slice, queries: slice, tried: Sequence[int]) -> Tensor:
        return predict_knn(
            rows.features[bank],
            rows.labels[bank],
            rows.features[queries],
            neighbours=tried,
            num_classes=rows.num_classes,
            temperature=temperature,
        )

    trial = predict(rows.fit, rows.choose, ascending)
    correct = (trial == rows.labels[rows.choose]).sum(1).tolist()
    best = ascending[correct.index(max(correct))]
    return NearestNeighbours(predict(rows.known, rows.score, [best])[0].cpu().numpy(), best)
