"""Images are drawn, checked and committed at once: costs are counted, memory is bounded, a refusal stops cleanly."""

import gc
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.random_diffusion import SIZES, make_pipeline
from synclr_assets.stages.images import ImageSettings, write_images
from synclr_assets.stages.ledger import Prices
from synclr_assets.stages.shards import ShardSettings, write_shards
from synclr_assets.store.errors import SettingsChangedError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit, stage_cursor
from synclr_assets.synthesis.diffusion.sampler import make_diffusers_sampler
from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.encoding import decode, extension_of
from synclr_assets.synthesis.painter import RehearsalPainter
from synclr_assets.synthesis.protocols import ImageRequest, ModelProvenance, RefusedView, UInt8Image
from synclr_train.shards import index_shards, read_group
from tests.synclr_assets.conftest import Stages, content_of, write_bank

FRUIT = Unit("fruit", 0)
SETTINGS = ImageSettings(captions_per_commit=5, max_reseeds=2)


class PickySampler:
    """The painter on a make-believe GPU; refuses the views that a test names."""

    provenance = ModelProvenance("picky", "1", "CC0-1.0", "picky")
    size_px = 32
    images_per_batch = 8
    num_gpus = 2

    def __init__(self, refused: set[tuple[str, int]] | None = None) -> None:
        self.num_drawn = 0
        self._painter = RehearsalPainter(32)
        self._refused = refused or set()

    def sample(self, requests: Sequence[ImageRequest]) -> list[UInt8Image | RefusedView]:
        self.num_drawn += len(requests)
        images = self._painter.sample(requests)
        return [
            RefusedView("unsafe") if (request.caption_id, request.view) in self._refused else image
            for request, image in zip(requests, images, strict=True)
        ]


@pytest.fixture
def captioned(stages: Stages) -> Stages:
    """A store whose bucket has its captions and no images."""
    for stage in ("concepts", "captions", "enriched_captions"):
        stages.run(stage, FRUIT)
    return stages


def rows(store: Store, table: str, **where: Any) -> list[dict[str, Any]]:
    found = store.tables.read(table, partitions=FRUIT.partitions).to_pylist()
    return [row for row in found if all(row[name] == value for name, value in where.items())]


def test_each_window_is_one_row_of_the_ledger_and_nothing_is_counted_twice(captioned: Stages) -> None:
    sampler = PickySampler()
    prices = Prices(usd_per_gpu_hour=3600.0)
    write_images(captioned.store, FRUIT, sampler, SETTINGS, prices=prices, run_id="run-1")
    spent = rows(captioned.store, "ledger", stage="images")
    assert sorted(row["position"] for row in spent) == [0, 5, 10, 15, 20]
    assert sum(row["units"] for row in spent) == 23 * 4
    assert sum(row["requests"] for row in spent) == sampler.num_drawn
    assert {row["run_id"] for row in spent} == {"run-1"}
    gpu_seconds, usd = (sum(row[name] for row in spent) for name in ("gpu_seconds", "usd"))
    assert 0 < gpu_seconds == pytest.approx(usd)


def test_gpu_seconds_are_the_samplers_time_on_each_of_its_gpus(captioned: Stages) -> None:
    write_images(captioned.store, FRUIT, PickySampler(), SETTINGS)
    spent = rows(captioned.store, "ledger", stage="images")
    assert sum(row["gpu_seconds"] for row in spent) <= 2 * sum(row["wall_seconds"] for row in spent)
    painted = Stages(captioned.bank, captioned.store)
    painted.run_all(Unit("patterns", 0))
    free = captioned.store.tables.read("ledger", partitions=Unit("patterns", 0).partitions).to_pylist()
    assert [row["gpu_seconds"] for row in free if row["stage"] == "images"] == [0.0] * 3


def test_a_caption_whose_view_stays_refused_is_quarantined_whole(captioned: Stages) -> None:
    lost = rows(captioned.store, "enriched_captions", position=7)[0]["caption_id"]
    counts = write_images(captioned.store, FRUIT, PickySampler({(lost, 2)}), SETTINGS)
    assert (counts.allocated, counts.written, counts.quarantined) == (23, 22, {"unsafe": 1})
    assert rows(captioned.store, "images", caption_id=lost) == []
    assert rows(captioned.store, "image_bytes", caption_id=lost) == []
    (given_up,) = rows(captioned.store, "quarantine", stage="images")
    assert (given_up["caption_id"], given_up["attempts"]) == (lost, 3)


def test_progress_is_told_in_order_to_the_end(captioned: Stages) -> None:
    told: list[tuple[int, int]] = []
    write_images(
        captioned.store,
        FRUIT,
        PickySampler(),
        SETTINGS,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(5, 23), (10, 23), (15, 23), (20, 23), (23, 23)]


def test_a_refused_window_stops_after_what_was_begun_is_committed_and_goes_on_later(
    captioned: Stages,
) -> None:
    """The guard counts what is committed, as a budget does: at most 12 captions."""
    store, sampler = captioned.store, PickySampler()

    def at_most(limit: int, under_way: int) -> None:
        if stage_cursor(store.tables, "images", FRUIT) + under_way > limit:
            raise ValueError(f"stopped at {stage_cursor(store.tables, 'images', FRUIT)}")

    with pytest.raises(ValueError, match=r"stopped at 10$"):
        write_images(store, FRUIT, sampler, SETTINGS, before_window=lambda captions: at_most(12, captions))
    assert stage_cursor(store.tables, "images", FRUIT) == 10
    assert sampler.num_drawn == 40
    write_images(store, FRUIT, sampler, SETTINGS, before_window=lambda captions: at_most(23, captions))
    assert stage_cursor(store.tables, "images", FRUIT) == 23
    assert sampler.num_drawn == 23 * 4


def test_a_sampler_that_fails_leaves_whole_windows_and_is_gone_on_with(
    captioned: Stages, tmp_path: Path
) -> None:
    class Failing(PickySampler):
        def sample(self, requests: Sequence[ImageRequest]) -> list[UInt8Image | RefusedView]:
            if self.num_drawn >= 64:
                raise RuntimeError("device lost")
            return super().sample(requests)

    with pytest.raises(RuntimeError, match="device lost"):
        write_images(captioned.store, FRUIT, Failing(), SETTINGS)
    done = stage_cursor(captioned.store.tables, "images", FRUIT)
    assert done in (5, 10, 15)
    assert len(rows(captioned.store, "images")) == 4 * done
    write_images(captioned.store, FRUIT, PickySampler(), SETTINGS)
    assert len(rows(captioned.store, "images")) == 4 * 23


def test_agreement_is_recorded_and_part_of_the_settings(captioned: Stages) -> None:
    class Easygoing:
        threshold = 0.0
        fingerprint = "easygoing"

        def scores(self, images: Sequence[UInt8Image], text: str) -> list[float]:
            return [1.0] * len(images)

    write_images(captioned.store, FRUIT, PickySampler(), SETTINGS, agreement=Easygoing())
    assert rows(captioned.store, "images")[0]["checks_passed"][-1] == "text_mismatch"
    with pytest.raises(SettingsChangedError):
        write_images(captioned.store, FRUIT, PickySampler(), SETTINGS)


def test_webp_goes_from_the_sampler_to_the_trainer(captioned: Stages) -> None:
    store = captioned.store
    settings = ImageSettings(captions_per_commit=5, image_format="webp")
    write_images(store, FRUIT, PickySampler(), settings)
    write_shards(store, FRUIT, ShardSettings(captions_per_shard=6))
    assert {extension_of(row["encoded"]) for row in rows(store, "image_bytes")} == {"webp"}
    shards = [store.location.local_path(row["key"]) for row in rows(store, "shards")]
    assert b".3.webp" in shards[0].read_bytes()
    index = index_shards(shards, views_per_caption=4)
    assert index.num_captions == 23
    assert index.quarantined == ()
    assert [decode(view).shape for view in read_group(index, 0)] == [(32, 32, 3)] * 4


def test_a_real_pipeline_draws_a_bucket_and_an_interruption_changes_nothing(
    captioned: Stages, tmp_path: Path
) -> None:
    """One view at a time, so that even the last bits agree."""
    unit = Unit("patterns", 0)
    folder = tmp_path / "tiny-diffusion"
    make_pipeline(SIZES["tiny"]).save_pretrained(folder)
    settings = DiffusersSettings(
        model=str(folder), licence="CC0-1.0", num_steps=2, device="cpu", images_per_batch=1
    )

    def draw(store: Store, limit: int) -> None:
        def stop(captions: int) -> None:
            if stage_cursor(store.tables, "images", unit) + captions > limit:
                raise ValueError("enough")

        write_images(store, unit, make_diffusers_sampler(settings, 32), SETTINGS, before_window=stop)

    stages, undisturbed = captioned, Stages(captioned.bank, Store(tmp_path / "undisturbed"))
    for stage in ("concepts", "captions", "enriched_captions"):
        stages.run(stage, unit)
        undisturbed.run(stage, FRUIT)
        undisturbed.run(stage, unit)
    with pytest.raises(ValueError, match="enough"):
        draw(stages.store, 5)
    draw(stages.store, 11)
    draw(undisturbed.store, 11)
    assert content_of(stages.store) == content_of(undisturbed.store)
    models = stages.store.tables.read("images")["model"].to_pylist()
    assert models == ["tiny-diffusion"] * 44


def test_memory_is_flat_in_the_size_of_the_bucket(tmp_path: Path) -> None:
    """Python's and numpy's own memory while images of 50 kB each are drawn: 10x the captions, the same peak."""

    class Noise(PickySampler):
        size_px = 128

        def sample(self, requests: Sequence[ImageRequest]) -> list[UInt8Image | RefusedView]:
            return [
                np.random.default_rng(request.seed).integers(0, 256, (128, 128, 3), dtype=np.uint8)
                for request in requests
            ]

    peaks = []
    for count in (16, 160):
        bank = write_bank(
            tmp_path / f"bank{count}", {"fruit.yaml": f"captions: {count}\nconcepts: [apple]\n"}
        )
        stages = Stages(bank, Store(tmp_path / f"store{count}"), {"captions": 1000, "images": 4, "shard": 6})
        for stage in ("concepts", "captions", "enriched_captions"):
            stages.run(stage, FRUIT)
        gc.collect()
        tracemalloc.start()
        write_images(stages.store, FRUIT, Noise(), ImageSettings(captions_per_commit=4))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0], [round(peak / 1e6, 1) for peak in peaks]
