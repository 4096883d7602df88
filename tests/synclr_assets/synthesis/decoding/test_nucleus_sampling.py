"""Tokens are drawn from the nucleus, by their probability, with noise that belongs to one sequence alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.synthesis.decoding.nucleus_sampling import draw_tokens, gumbel_noise, noise_key

PROBABILITIES = np.array([0.4, 0.3, 0.15, 0.1, 0.05])


def draws(top_p: float, count: int = 20_000) -> np.ndarray:
    log_probs = np.broadcast_to(np.log(PROBABILITIES), (count, 5))
    ids = np.broadcast_to(np.arange(5), (count, 5))
    keys = np.array([noise_key(f"{n:032x}", 0) for n in range(count)], dtype=np.uint64)
    return draw_tokens(log_probs, ids, keys, np.zeros(count, dtype=np.int64), top_p)


def test_tokens_are_drawn_by_their_probability() -> None:
    shares = np.bincount(draws(1.0), minlength=5) / 20_000
    assert shares == pytest.approx(PROBABILITIES, abs=0.012)


def test_only_the_nucleus_is_drawn_from_and_keeps_its_proportions() -> None:
    shares = np.bincount(draws(0.8), minlength=5) / 20_000
    assert shares == pytest.approx(np.array([0.4, 0.3, 0.15, 0.0, 0.0]) / 0.85, abs=0.012)
    assert set(draws(0.01, 100)) == {0}


def test_noise_is_gumbel_and_independent_over_steps_and_tokens() -> None:
    keys = np.arange(200, dtype=np.uint64)
    ids = np.broadcast_to(np.arange(500), (200, 500))
    first, second = (gumbel_noise(keys, np.full(200, step), ids) for step in (0, 1))
    assert first.mean() == pytest.approx(0.5772, abs=0.015)
    assert first.std() == pytest.approx(np.pi / np.sqrt(6), abs=0.015)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.015
    assert abs(np.corrcoef(first[:, 0], first[:, 1])[0, 1]) < 0.25


@given(st.permutations(range(5)), st.integers(0, 50), st.integers(1, 7))
def test_a_draw_depends_neither_on_the_order_of_candidates_nor_on_neighbours(
    order: list[int], step: int, num_neighbours: int
) -> None:
    key = noise_key("ab", 3)
    alone = draw_tokens(
        np.log(PROBABILITIES)[None],
        np.arange(5)[None],
        np.array([key], dtype=np.uint64),
        np.array([step]),
        0.9,
    )
    keys = np.array([*range(num_neighbours), key], dtype=np.uint64)
    ids = np.broadcast_to(np.array(order), (len(keys), 5))
    together = draw_tokens(np.log(PROBABILITIES)[ids], ids, keys, np.full(len(keys), step), 0.9)
    assert together[-1] == alone[0]


def test_equal_probabilities_are_ranked_by_token_id() -> None:
    log_probs = np.log(np.full((1, 4), 0.25))
    key = np.array([noise_key("ab", 0)], dtype=np.uint64)
    ids = np.array([[7, 3, 9, 1]])
    kept = {int(draw_tokens(log_probs, ids, key, np.array([step]), 0.3)[0]) for step in range(100)}
    assert kept == {1, 3}


def test_every_caption_and_attempt_has_its_own_key() -> None:
    keys = {noise_key(f"{n:032x}", attempt) for n in range(50) for attempt in range(4)}
    assert len(keys) == 200
    assert noise_key("18fc0c33164ede4f099ad4de1de96a6c", 0) == noise_key(
        "18fc0c33164ede4f099ad4de1de96a6c", 0
    )
