"""The whole chain with the real generators, at tiny sizes: every line that loads and runs a model is a user's line."""

from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import yaml
from PIL import Image

from benchmarks.random_diffusion import SIZES, make_pipeline
from synclr_assets.defs.jobs import MODEL_JOB
from synclr_assets.launch.runs import Launcher
from synclr_assets.provenance.lineage import caption_lineage, model_lineage
from synclr_assets.provenance.models import models
from synclr_assets.store.store import Store
from synclr_train.evals.datasets import digit_images
from tests.synclr_assets.conftest import write_bank
from tests.synclr_assets.synthesis.serving import serving
from tests.synclr_assets.synthesis.taught_llama import BACKGROUNDS, save_taught_llama

pytest.importorskip("fastapi", reason="`transformers serve` needs fastapi and uvicorn")
pytest.importorskip("uvicorn", reason="`transformers serve` needs fastapi and uvicorn")
CAPTIONS_PER_BUCKET = 28
NUM_BACKGROUNDS = 6
TEACHING_STEPS = 220
DIGITS_PER_CLASS = {"train": 16, "val": 8, "test": 8}
BANK = {
    "mugs.yaml": f"captions: {CAPTIONS_PER_BUCKET}\nconcepts: [mug]\n",
    "lamps.yaml": f"captions: {CAPTIONS_PER_BUCKET}\nconcepts: [lamp]\n",
}


def profile_of(
    llama: Path, diffusion: Path, probe: Path, base_url: str, captioner: dict[str, Any]
) -> dict[str, Any]:
    """A settings file as a user writes it; only the captioner differs between the buckets."""
    server = {"base_url": base_url, "model": str(llama), "api_key_env": None, "max_concurrency": 1}
    return {
        "captioner": {"prompt_set": str(llama / "prompts.yaml"), **captioner},
        "background_writer": {
            "kind": "list",
            "openai": {
                **server,
                "structured_output": "none",
                "max_tokens_field": "max_tokens",
                "max_tokens": 60,
                "temperature": 0.2,
            },
        },
        "image_sampler": {
            "kind": "diffusers",
            "size_px": SIZES["tiny"].size_px,
            "diffusers": {"model": str(diffusion), "licence": "CC0-1.0", "num_steps": 3, "device": "cpu"},
        },
        "dataset": {"backgrounds_per_concept": NUM_BACKGROUNDS, "captions_per_shard": 10},
        "trainer": {"recipe": "rehearsal", "probe_dataset": f"folder:{probe}"},
    }


def save_digits(folder: Path) -> Path:
    """Handwritten zeros, ones and twos as a user's folder of classes: few, as every probe fits them many times."""
    images, labels, _ = digit_images()
    for digit in range(3):
        unused = iter((images[labels == digit] * 255).astype(np.uint8))
        for part, count in DIGITS_PER_CLASS.items():
            target = folder / part / str(digit)
            target.mkdir(parents=True)
            for number, picture in enumerate(islice(unused, count)):
                Image.fromarray(picture).save(target / f"{number}.png")
    return folder


def ignore(entry: dg.EventLogEntry) -> None:
    """No progress is shown."""


def test_real_generators_lead_to_a_trained_and_probed_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bank(tmp_path / "concepts", BANK)
    llama = save_taught_llama(tmp_path / "llama", ["mug", "lamp"], NUM_BACKGROUNDS, TEACHING_STEPS)
    probe = save_digits(tmp_path / "probe")
    diffusion = tmp_path / "diffusion"
    make_pipeline(SIZES["tiny"]).save_pretrained(diffusion)
    for name in ("concepts", "store", "dagster"):
        variable = "DAGSTER_HOME" if name == "dagster" else f"SYNCLR_{name.upper()}"
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setenv("SYNCLR_SETTINGS", str(tmp_path / "settings.yaml"))
    monkeypatch.chdir(tmp_path)
    sampling = {"temperature": 1.2, "top_p": 1.0}  # a tiny model repeats itself at the paper's
    with serving(llama) as base_url:
        captioners: dict[str, dict[str, Any]] = {
            "mugs": {
                "kind": "transformers",
                "transformers": {"model": str(llama), "licence": "CC0-1.0", "max_new_tokens": 32, **sampling},
            },
            "lamps": {
                "kind": "openai_compatible",
                "openai": {
                    "base_url": base_url,
                    "model": str(llama),
                    "api_key_env": None,
                    "max_tokens": 32,
                    "max_concurrency": 1,
                    **sampling,
                },
            },
        }
        for bucket, captioner in captioners.items():
            profile = profile_of(llama, diffusion, probe, base_url, captioner)
            (tmp_path / "settings.yaml").write_text(yaml.safe_dump(profile))
            result = Launcher().make_dataset(bucket, None, ignore)
            blocking = [one for one in result.get_asset_check_evaluations() if one.blocking]
            assert len(blocking) >= 8
            assert all(one.passed for one in blocking)
    train_and_probe(Launcher(), "all")

    store = Store(tmp_path / "store")
    for bucket in captioners:
        assert_accounted(store, bucket)
    listed = store.tables.read("backgrounds").to_pylist()
    assert {(row["concept"], row["background"], row["origin"]) for row in listed} == {
        (concept, background, "generated")
        for concept in ("mug", "lamp")
        for background in BACKGROUNDS[:NUM_BACKGROUNDS]
    }
    (model,) = models(store)
    lineage = model_lineage(store, model["model_id"])
    assert ("linear_probe", "model") in {(score["asset"], score["subject"]) for score in lineage.scores}
    final = store.tables.read("enriched_captions").to_pylist()
    traced = caption_lineage(store, next(row["caption_id"] for row in final if row["template"] == "c_bg"))
    assert [found["model_id"] for found in traced.models] == [model["model_id"]]
    assert {image["licence"] for image in traced.images} == {"CC0-1.0"}


def train_and_probe(launcher: Launcher, slice_name: str) -> None:
    """The model job without its segmentation, which knows nothing of generators and takes most of its time."""
    result = launcher.definitions.resolve_job_def(MODEL_JOB).execute_in_process(
        instance=launcher.instance,
        partition_key=slice_name,
        run_config={
            "ops": {
                "checkpoint": {"config": {"steps": 2}},
                "linear_probe": {"config": {"split": "validation"}},
            }
        },
        asset_selection=[dg.AssetKey("checkpoint"), dg.AssetKey("linear_probe")],
    )
    assert result.success


def assert_accounted(store: Store, bucket: str) -> None:
    """What was planned is packed or quarantined with its reason, and most of it is packed."""
    unit = {"bucket": bucket, "generation": 0}
    packed = store.tables.count("shard_members", partitions=unit)
    assert packed + store.tables.count("quarantine", partitions=unit) == CAPTIONS_PER_BUCKET
    assert packed >= CAPTIONS_PER_BUCKET // 2
    final = store.tables.read("enriched_captions", partitions=unit).to_pylist()
    assert {row["template"] for row in final} >= {"c", "c_bg"}
    assert all(row["background"] in BACKGROUNDS for row in final if row["template"] == "c_bg")
    spent = store.tables.read("ledger", partitions=unit).to_pylist()
    asked = {row["stage"]: row["completion_tokens"] for row in spent}
    assert all(asked[stage] > 0 for stage in ("captions", "backgrounds", "enriched_captions"))
