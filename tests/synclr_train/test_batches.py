"""What a step sees is a function of (shards, seed, step, rank): whole epochs, no repetition, no skipping."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from synclr_train.batches import CaptionOrder, StepDataset, pass_through
from synclr_train.shards import ShardError, index_shards, read_caption_images


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


def test_epochs_and_seeds_have_their_own_order():
    order = CaptionOrder(100, 10, seed=0)
    first, second = order.epoch_order(0).copy(), order.epoch_order(1).copy()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(order.epoch_order(0), first)
    assert not np.array_equal(CaptionOrder(100, 10, seed=1).epoch_order(0), first)


def test_any_number_of_devices_sees_the_same_captions(shards):
    index = index_shards(shards, 2)
    order = CaptionOrder(index.num_captions, 8, seed=0)
    alone = StepDataset(index, order, source_size=24)[5]
    halves = [StepDataset(index, order, source_size=24, rank=rank, num_ranks=2)[5] for rank in range(2)]
    assert torch.equal(torch.cat([half.caption_rows for half in halves]), alone.caption_rows)
    assert torch.equal(torch.cat([half.images for half in halves]), alone.images)


def test_images_are_grouped_by_caption(shards):
    index = index_shards(shards, 2)
    batch = StepDataset(index, CaptionOrder(index.num_captions, 8, seed=0), source_size=24)[0]
    for position, row in enumerate(batch.caption_rows.tolist()):
        expected = read_caption_images(index, row, 24)
        np.testing.assert_array_equal(batch.images[2 * position : 2 * position + 2].numpy(), expected)


def test_loader_processes_change_nothing(shards):
    index = index_shards(shards, 2)
    dataset = StepDataset(index, CaptionOrder(index.num_captions, 8, seed=0), source_size=24)
    loader = DataLoader(dataset, batch_size=None, sampler=range(3, 6), num_workers=2, collate_fn=pass_through)
    for step, batch in zip(range(3, 6), loader, strict=True):
        assert batch.step == step
        assert torch.equal(batch.images, dataset[step].images)


def test_an_undecodable_caption_is_replaced_and_recorded(tmp_path, make_shard):
    broken = {f"{number:032x}.0.jpg": b"no image" for number in (1, 2)}
    index = index_shards([make_shard(tmp_path / "s.tar", range(12), broken=broken)], 4)
    order = CaptionOrder(index.num_captions, 4, seed=0)
    dataset = StepDataset(index, order, source_size=24)
    recorded = set()
    for step in range(order.steps_per_epoch):
        batch = dataset[step]
        assert batch.images.shape[0] == 16
        assert not {1, 2} & set(batch.caption_rows.tolist())
        recorded |= {each.caption_id for each in batch.quarantined}
        again = dataset[step]
        assert torch.equal(again.caption_rows, batch.caption_rows)
    assert recorded == {f"{1:032x}", f"{2:032x}"}


def test_shards_without_one_decodable_image_stop_with_a_sentence(tmp_path, make_shard):
    broken = {f"{number:032x}.0.jpg": b"no image" for number in range(4)}
    index = index_shards([make_shard(tmp_path / "s.tar", range(4), broken=broken)], 4)
    with pytest.raises(ShardError, match="no image of any shard"):
        StepDataset(index, CaptionOrder(4, 2, seed=0), source_size=24)[0]


def test_impossible_batches_are_refused(shards):
    with pytest.raises(ShardError, match="takes 64 captions but the shards hold 32"):
        CaptionOrder(32, 64, seed=0)
    index = index_shards(shards, 2)
    with pytest.raises(ValueError, match="evenly over 3 devices"):
        StepDataset(index, CaptionOrder(32, 8, seed=0), source_size=24, num_ranks=3)
