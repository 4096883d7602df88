"""What a step sees is a function of (shards, seed, step, rank): whole epochs, no repetition, no skipping."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from synclr_train.batches import StepBatch, StepDataset, pass_through
from synclr_train.caption_order import CaptionOrder
from synclr_train.cropping import Cutter
from synclr_train.recipes import vit_b16
from synclr_train.shard_files import ShardError
from synclr_train.shards import index_shards, read_group


def dataset_of(index, per_step: int = 8, **options) -> StepDataset:
    recipe = vit_b16()
    crops = recipe.crops.model_copy(update={"num_local": 2, "local_size": 8})
    order = CaptionOrder(index.num_captions, per_step, seed=0)
    return StepDataset(index, order, Cutter(crops, recipe.augment, 16), **options)


def same(first: StepBatch, second: StepBatch) -> bool:
    return all(
        torch.equal(getattr(first, name), getattr(second, name))
        for name in ("global_crops", "local_crops", "image_keys", "caption_rows", "shard_numbers")
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    num_ranks=st.sampled_from([1, 2, 4]),
    per_rank=st.integers(1, 2),
    num_workers=st.integers(1, 3),
    start=st.integers(0, 3),
)
def test_an_epoch_is_shared_out_without_a_caption_twice_or_missing(
    make_shard, sizes, num_ranks, per_rank, num_workers, start
):
    """Over shard sizes, world sizes and workers (a worker takes every k-th step), from any resumed step on."""
    with TemporaryDirectory() as scratch:
        paths, first = [], 0
        for number, size in enumerate(sizes):
            captions = range(first, first + size)
            paths.append(make_shard(Path(scratch) / f"s{number}.tar", captions, num_views=2, side=8))
            first += size
        index = index_shards(paths, 2)
        per_step = num_ranks * per_rank
        if per_step > first:
            return
        datasets = [dataset_of(index, per_step, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
        steps_per_epoch = first // per_step
        start %= steps_per_epoch
        steps = range(start, steps_per_epoch)
        read = [
            row
            for dataset in datasets
            for worker in range(num_workers)
            for step in steps[worker::num_workers]
            for row in dataset[step].caption_rows.tolist()
        ]
        before = np.concatenate([np.empty(0, int), *(datasets[0].order.rows(step) for step in range(start))])
        assert len(set(read)) == len(read) == len(steps) * per_step
        assert not set(read) & set(before.tolist())


def test_any_number_of_devices_sees_the_same_captions_and_crops(shards):
    index = index_shards(shards, 2)
    alone = dataset_of(index)[5]
    halves = [dataset_of(index, rank=rank, num_ranks=2)[5] for rank in range(2)]
    assert torch.equal(torch.cat([half.caption_rows for half in halves]), alone.caption_rows)
    assert torch.equal(torch.cat([half.global_crops for half in halves]), alone.global_crops)
    locals_of = [half.local_crops.unflatten(0, (2, -1)) for half in halves]
    assert torch.equal(torch.cat(locals_of, dim=1).flatten(0, 1), alone.local_crops)


def test_a_batch_is_whole_groups_in_order(shards):
    index = index_shards(shards, 2)
    dataset = dataset_of(index)
    batch = dataset[0]
    assert batch.global_crops.shape == (16, 3, 16, 16)
    assert batch.local_crops.shape == (32, 3, 8, 8)
    assert batch.shard_numbers.tolist() == [row // 16 for row in batch.caption_rows.tolist()]
    keys = batch.image_keys.numpy().view(np.uint64)
    for position, row in enumerate(batch.caption_rows.tolist()):
        for view, encoded in enumerate(read_group(index, row)):
            image = 2 * position + view
            global_crops, local_crops = dataset.cutter.cut(encoded, keys[image])
            np.testing.assert_array_equal(batch.global_crops[image].numpy(), global_crops[0])
            np.testing.assert_array_equal(batch.local_crops[image].numpy(), local_crops[0])
            np.testing.assert_array_equal(batch.local_crops[16 + image].numpy(), local_crops[1])


def test_each_epoch_cuts_anew(shards):
    dataset = dataset_of(index_shards(shards, 2), per_step=32)
    rows = [dataset[step].caption_rows.argsort() for step in range(2)]
    keys = [dataset[step].image_keys.view(-1, 2)[order] for step, order in enumerate(rows)]
    assert not (keys[0] == keys[1]).any()


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_loader_processes_change_nothing(shards, num_workers):
    dataset = dataset_of(index_shards(shards, 2))
    loader = DataLoader(
        dataset, batch_size=None, sampler=range(3, 8), num_workers=num_workers, collate_fn=pass_through
    )
    for step, batch in zip(range(3, 8), loader, strict=True):
        assert batch.step == step
        assert same(batch, dataset[step])


def test_kept_groups_are_bounded_and_read_once(shards, monkeypatch):
    index = index_shards(shards, 2)
    dataset = dataset_of(index, encoded_cache_bytes=3 * int(index.records["sizes"][0].sum()))
    first = dataset[0]
    kept = sum(len(view) for views in dataset._kept.values() for view in views)
    assert 0 < kept <= dataset.encoded_cache_bytes
    assert same(dataset[0], first)


def test_an_undecodable_caption_is_replaced_and_recorded(tmp_path, make_shard):
    broken = {f"{number:032x}.0.jpg": b"no image" for number in (1, 2)}
    index = index_shards([make_shard(tmp_path / "s.tar", range(12), broken=broken)], 4)
    dataset = dataset_of(index, per_step=4)
    recorded = set()
    for step in range(dataset.order.steps_per_epoch):
        batch = dataset[step]
        assert batch.global_crops.shape[0] == 16
        assert not {1, 2} & set(batch.caption_rows.tolist())
        recorded |= {each.caption_id for each in batch.quarantined}
        again = dataset[step]
        assert torch.equal(again.caption_rows, batch.caption_rows)
    assert recorded == {f"{1:032x}", f"{2:032x}"}


def test_shards_without_one_decodable_image_stop_with_a_sentence(tmp_path, make_shard):
    broken = {f"{number:032x}.0.jpg": b"no image" for number in range(4)}
    index = index_shards([make_shard(tmp_path / "s.tar", range(4), broken=broken)], 4)
    with pytest.raises(ShardError, match=r"a caption of step 0 cannot be decoded, nor .*view 0 cannot"):
        dataset_of(index, per_step=2)[0]


def test_a_step_that_cannot_be_split_is_refused(shards):
    with pytest.raises(ValueError, match="evenly over 3 devices"):
        dataset_of(index_shards(shards, 2), num_ranks=3)
