"""A view is the same whatever its batch; the own loop draws what the pipeline draws; memory that runs out is no end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from synclr_assets.synthesis.diffusion.own_loop import OwnLoop
from synclr_assets.synthesis.diffusion.sampler import DiffusersSampler
from synclr_assets.synthesis.diffusion.shrinking_batch import OutOfMemoryError
from synclr_assets.synthesis.protocols import ImageRequest, RefusedView
from tests.synclr_assets.synthesis.diffusion.conftest import MakeSampler, requests_of

BATCH_BOUND = 2
"""Most that a channel of a pixel may move between batch sizes on a CPU in float32, of 255."""


def drawn(sampler: DiffusersSampler, requests: list[ImageRequest]) -> np.ndarray:
    images = sampler.sample(requests)
    assert all(isinstance(image, np.ndarray) for image in images)
    return np.stack(images).astype(int)  # type: ignore[arg-type]


def largest_difference(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.abs(first - second).max())


def own_loop_of(sampler: DiffusersSampler) -> OwnLoop:
    loop = sampler._loop
    assert isinstance(loop, OwnLoop)
    return loop


@pytest.mark.parametrize("scheduler", ["ddim", "dpmsolver++", "unipc"])
def test_a_view_does_not_depend_on_its_batch(make_sampler: MakeSampler, scheduler: str) -> None:
    requests = requests_of(4)
    alone = drawn(make_sampler(images_per_batch=1, scheduler=scheduler), requests)
    together = drawn(make_sampler(images_per_batch=8, scheduler=scheduler), requests)
    assert largest_difference(alone, together) <= BATCH_BOUND
    mixed = drawn(make_sampler(images_per_batch=8, scheduler=scheduler), requests[::-1])[::-1]
    assert largest_difference(alone, mixed) <= BATCH_BOUND


def test_fifty_steps_stay_within_the_bound_too(make_sampler: MakeSampler) -> None:
    requests = requests_of(2)
    alone = drawn(make_sampler(images_per_batch=1, num_steps=50), requests)
    together = drawn(make_sampler(images_per_batch=8, num_steps=50), requests)
    assert largest_difference(alone, together) <= BATCH_BOUND


def test_the_same_request_gives_the_same_pixels_in_another_process_of_the_same_batch(
    make_sampler: MakeSampler,
) -> None:
    requests = requests_of(2)
    assert np.array_equal(drawn(make_sampler(), requests), drawn(make_sampler(), requests))


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("scheduler", ["ddim", "dpmsolver++", "unipc"])
def test_the_own_loop_draws_what_the_pipeline_draws(
    make_sampler: MakeSampler, scheduler: str, guidance: float
) -> None:
    requests = requests_of(2)
    own = drawn(make_sampler(scheduler=scheduler, guidance=guidance), requests)
    piped = drawn(make_sampler(loop="pipeline", scheduler=scheduler, guidance=guidance), requests)
    assert largest_difference(own, piped) <= BATCH_BOUND


def test_a_plain_call_of_the_saved_pipeline_draws_the_same(
    make_sampler: MakeSampler, tiny_folder: Path
) -> None:
    requests = requests_of(1)
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    plain = pipeline(
        prompt=requests[0].text,
        num_images_per_prompt=4,
        num_inference_steps=6,
        guidance_scale=2.5,
        generator=[torch.Generator().manual_seed(request.seed) for request in requests],
        output_type="np",
    ).images
    assert (
        largest_difference(drawn(make_sampler(), requests), (plain * 255).round().astype(int)) <= BATCH_BOUND
    )


def test_text_and_seed_both_change_the_image(make_sampler: MakeSampler) -> None:
    first = requests_of(1, views=[0])[0]
    other_text = ImageRequest(first.caption_id, 0, 0, first.seed, "Zebra crossing at night, 1999.", "zebra")
    other_seed = ImageRequest(first.caption_id, 0, 1, first.seed + 1, first.text, "apple")
    images = drawn(make_sampler(guidance=8.0), [first, other_text, other_seed])
    assert largest_difference(images[0], images[1]) > BATCH_BOUND
    assert largest_difference(images[0], images[2]) > 50


def test_each_caption_is_embedded_once_and_the_empty_prompt_once_per_run(make_sampler: MakeSampler) -> None:
    sampler = make_sampler(images_per_batch=3)
    sampler.sample(requests_of(1, views=[0]))
    encoder = own_loop_of(sampler)._pipeline.text_encoder
    calls: list[tuple[int, ...]] = []
    encoder.register_forward_hook(lambda module, inputs, output: calls.append(tuple(output[0].shape)))
    sampler.sample(requests_of(5))
    assert len(calls) == 4  # the first caption and the empty prompt were embedded before
    assert {shape[0] for shape in calls} == {1}


def test_out_of_memory_halves_the_batch_and_is_remembered(make_sampler: MakeSampler) -> None:
    sampler, undisturbed = make_sampler(images_per_batch=8), make_sampler(images_per_batch=2)
    sampler.sample(requests_of(1, views=[0]))
    network = own_loop_of(sampler)._pipeline.unet
    batches: list[int] = []

    def too_large(module: Any, inputs: Any) -> None:
        batches.append(len(inputs[0]) // 2)  # with and without text
        if batches[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    network.register_forward_pre_hook(too_large)
    requests = requests_of(2)
    images = drawn(sampler, requests)
    assert sampler.images_per_batch == 2
    assert batches[:3] == [8, 4, 2]
    assert np.array_equal(images, drawn(undisturbed, requests))
    batches.clear()
    sampler.sample(requests)
    assert set(batches) == {2}


def test_memory_too_small_for_one_image_is_one_sentence(make_sampler: MakeSampler) -> None:
    sampler = make_sampler(images_per_batch=2)
    sampler.sample(requests_of(1, views=[0]))

    def always(module: Any, inputs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    own_loop_of(sampler)._pipeline.unet.register_forward_pre_hook(always)
    with pytest.raises(OutOfMemoryError, match=r"^one image does not fit .*choose a smaller size_px"):
        sampler.sample(requests_of(1))


def test_decoding_that_runs_out_of_memory_samples_nothing_again(make_sampler: MakeSampler) -> None:
    sampler = make_sampler(images_per_batch=8)
    sampler.sample(requests_of(1, views=[0]))
    pipeline = own_loop_of(sampler)._pipeline
    denoised, decoded = [], []

    def too_large(module: Any, inputs: Any) -> None:
        decoded.append(len(inputs[0]))
        if len(inputs[0]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    pipeline.unet.register_forward_pre_hook(lambda module, inputs: denoised.append(len(inputs[0])))
    pipeline.vae.decoder.register_forward_pre_hook(too_large)
    sampler.sample(requests_of(2))
    assert decoded == [8, 4, 4]
    assert denoised == [16] * 6
    assert sampler.images_per_batch == 8


def test_a_flagged_view_is_refused_and_never_handed_out_black(make_sampler: MakeSampler) -> None:
    for loop in ("own", "pipeline"):
        sampler = make_sampler(safety_checker=True, loop=loop)
        requests = requests_of(1)
        assert drawn(sampler, requests).std() > 10
        assert sampler._loop is not None
        checker = sampler._loop._pipeline.safety_checker
        checker.concept_embeds_weights.data.fill_(-2.0)
        assert sampler.sample(requests) == [RefusedView("unsafe")] * 4


def test_without_a_safety_checker_none_is_loaded(make_sampler: MakeSampler) -> None:
    sampler = make_sampler()
    sampler.sample(requests_of(1, views=[0]))
    assert own_loop_of(sampler)._pipeline.safety_checker is None


def test_an_overflow_comes_out_black(make_sampler: MakeSampler) -> None:
    sampler = make_sampler()
    sampler.sample(requests_of(1, views=[0]))
    decoder = own_loop_of(sampler)._pipeline.vae.decoder
    decoder.register_forward_hook(lambda module, inputs, output: output * float("nan"))
    assert drawn(sampler, requests_of(1)).max() == 0


@pytest.mark.parametrize("option", ["channels_last", "vae_slicing"])
def test_options_of_speed_change_no_image(make_sampler: MakeSampler, option: str) -> None:
    requests = requests_of(2)
    fast, plain = make_sampler(**{option: True}), make_sampler()
    assert largest_difference(drawn(fast, requests), drawn(plain, requests)) <= BATCH_BOUND
    assert fast.provenance == plain.provenance


def test_a_compiled_network_sees_one_batch_size(
    make_sampler: MakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **options: compiled.append(options))
    sampler = make_sampler(compile=True, images_per_batch=5)
    sampler.sample(requests_of(1, views=[0]))
    batches: list[int] = []
    own_loop_of(sampler)._pipeline.unet.register_forward_pre_hook(
        lambda module, inputs: batches.append(len(inputs[0]))
    )
    assert len(sampler.sample(requests_of(2))) == 8
    assert compiled == [{"dynamic": False}]
    assert set(batches) == {10}


def test_the_fingerprint_covers_what_changes_images_and_nothing_else(make_sampler: MakeSampler) -> None:
    def fingerprint(**changes: Any) -> str:
        return make_sampler(**changes).provenance.fingerprint

    plain = fingerprint()
    changed: list[dict[str, Any]] = [
        {"num_steps": 20},
        {"guidance": 4.0},
        {"scheduler": "unipc"},
        {"dtype": "bfloat16"},
        {"loop": "pipeline"},
        {"safety_checker": True},
        {"size_px": 64},
    ]
    assert len({plain, *(fingerprint(**change) for change in changed)}) == len(changed) + 1
    kept: list[dict[str, Any]] = [{"images_per_batch": 3}, {"compile": True}, {"dtype": "float32"}]
    assert {fingerprint(**change) for change in kept} == {plain}
