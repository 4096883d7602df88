"""The shuffle of an epoch: a bijection named by (seed, epoch), the same for every number of readers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_train.caption_order import CaptionOrder, shuffled
from synclr_train.shard_files import ShardError


@settings(max_examples=40, deadline=None)
@given(num=st.integers(1, 700), seed=st.integers(0, 2**62), epoch=st.integers(0, 2**31))
def test_a_shuffle_is_a_bijection(num, seed, epoch):
    assert sorted(shuffled(np.arange(num), num, seed, epoch).tolist()) == list(range(num))


@settings(max_examples=40, deadline=None)
@given(
    captions=st.integers(1, 60),
    per_step=st.integers(1, 20),
    seed=st.integers(0, 2**62),
    epoch=st.integers(0, 5),
)
def test_an_epoch_shows_no_caption_twice(captions, per_step, seed, epoch):
    if per_step > captions:
        return
    order = CaptionOrder(captions, per_step, seed)
    steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
    seen = np.concatenate([order.rows(step) for step in steps])
    assert len(set(seen.tolist())) == len(seen) == order.steps_per_epoch * per_step
    assert {order.epoch_of(step) for step in steps} == {epoch}


@settings(max_examples=40, deadline=None)
@given(captions=st.integers(2, 60), per_step=st.integers(1, 10), step=st.integers(0, 40))
def test_stand_ins_of_one_step_are_all_different_and_none_of_its_own(captions, per_step, step):
    if per_step > captions:
        return
    order = CaptionOrder(captions, per_step, seed=3)
    candidates = np.stack([order.substitutes(step, position) for position in range(per_step)])
    assert len(set(candidates.ravel().tolist())) == candidates.size == per_step * (order.steps_per_epoch - 1)
    assert not set(candidates.ravel().tolist()) & set(order.rows(step).tolist())


def test_every_caption_comes_first_equally_often():
    firsts = [int(shuffled(np.array([0]), 7, seed, 0)[0]) for seed in range(350)]
    counts = np.bincount(firsts, minlength=7)
    assert ((counts - 50) ** 2 / 50).sum() < 30  # 6 degrees of freedom: one in 20 000 exceeds it


def test_neighbours_are_spread():
    """Captions of one shard lie side by side in the index; a step must not be full of one shard."""
    shard_of = shuffled(np.arange(256), 100_000, 0, 0) // 1000
    assert len(set(shard_of.tolist())) > 80


def test_epochs_and_seeds_have_their_own_order():
    orders = {shuffled(np.arange(50), 50, seed, epoch).tobytes() for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_a_far_step_of_many_captions_is_found_at_once():
    order = CaptionOrder(150_000_000, 8192, seed=0)
    rows = order.rows(499_999)
    assert len(set(rows.tolist())) == 8192
    assert rows.max() < 150_000_000


def test_a_step_larger_than_the_shards_is_refused():
    with pytest.raises(ShardError, match="takes 64 captions but the shards hold 32"):
        CaptionOrder(32, 64, seed=0)
