"""What may be loaded: pinned models with a stated licence, safetensors alone, pipelines that fit; else one sentence."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from synclr_assets.synthesis.diffusion.sampler import make_diffusers_sampler
from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.model_source import ModelError
from tests.synclr_assets.synthesis.diffusion.conftest import MakeSampler, requests_of

ONE = requests_of(1, views=[0])


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_folder, tmp_path / "model")


def change_index(folder: Path, **changes: object) -> None:
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | changes))


def test_the_default_model_is_the_mirror_at_its_commit() -> None:
    provenance = make_diffusers_sampler(DiffusersSettings(device="cpu"), 512).provenance
    assert provenance.model == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert provenance.revision == "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
    assert provenance.licence == "CreativeML OpenRAIL-M"


def test_the_defaults_are_the_papers() -> None:
    settings = DiffusersSettings()
    assert (settings.guidance, settings.num_steps, settings.scheduler) == (2.5, 50, "ddim")


def test_pickled_weights_are_refused(folder: Path, make_sampler: MakeSampler) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(
        ModelError, match=r"^image sampler model model cannot be loaded .*safetensors files\.$"
    ):
        make_sampler(folder).sample(ONE)


def test_a_folder_without_a_pipeline_is_refused(tmp_path: Path, make_sampler: MakeSampler) -> None:
    with pytest.raises(ModelError, match=r"is no pipeline .*model_index\.json"):
        make_sampler(tmp_path).sample(ONE)


def test_another_pipeline_needs_the_pipeline_loop(folder: Path, make_sampler: MakeSampler) -> None:
    change_index(folder, _class_name="FluxPipeline")
    with pytest.raises(ModelError, match=r"is a FluxPipeline, .*set loop to pipeline"):
        make_sampler(folder).sample(ONE)


def test_a_scheduler_with_noise_of_its_own_needs_the_pipeline_loop(make_sampler: MakeSampler) -> None:
    with pytest.raises(ModelError, match="'shipped' may draw noise of its own"):
        make_sampler(scheduler="shipped").sample(ONE)
    make_sampler(scheduler="shipped", loop="pipeline").sample(ONE)


def test_a_flow_matching_model_keeps_its_scheduler(folder: Path, make_sampler: MakeSampler) -> None:
    change_index(folder, scheduler=["diffusers", "FlowMatchEulerDiscreteScheduler"])
    (folder / "scheduler" / "scheduler_config.json").write_text(
        json.dumps({"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000})
    )
    with pytest.raises(ModelError, match=r"samples by FlowMatchEuler.*set scheduler to shipped\.$"):
        make_sampler(folder, loop="pipeline").sample(ONE)


def test_a_missing_safety_checker_is_named(folder: Path, make_sampler: MakeSampler) -> None:
    change_index(folder, safety_checker=[None, None], feature_extractor=[None, None])
    with pytest.raises(ModelError, match=r"has no safety checker; set safety_checker to false\.$"):
        make_sampler(folder, safety_checker=True).sample(ONE)


def test_a_size_the_model_cannot_draw_is_refused(make_sampler: MakeSampler) -> None:
    with pytest.raises(ModelError, match=r"^size_px 34: .* multiples of 4 pixels\.$"):
        make_sampler(size_px=34).sample(ONE)


@pytest.mark.parametrize(("device", "words"), [("cuda:99", "torch sees"), ("tpu-ish", "is unknown")])
def test_a_device_that_is_not_there_is_one_sentence(
    make_sampler: MakeSampler, device: str, words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        make_sampler(device=device)


def test_nothing_is_loaded_before_the_first_image(folder: Path, make_sampler: MakeSampler) -> None:
    sampler = make_sampler(folder)
    shutil.rmtree(folder)
    assert sampler.provenance.model == "model"
    with pytest.raises(ModelError):
        sampler.sample(ONE)
