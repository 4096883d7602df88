"""A caption gets four sound views or is given up with a reason; neither batches nor time change which."""

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.synthesis.encoding import decode, extension_of
from synclr_assets.synthesis.identity import caption_id, image_seed
from synclr_assets.synthesis.positive_groups import CaptionToDraw, GroupRules, PositiveGroup, draw_groups
from synclr_assets.synthesis.protocols import ImageRequest, ModelProvenance, RefusedView, UInt8Image

RULES = GroupRules("jpeg", 95, max_reseeds=3)
SIZE_PX = 24
Answer = Callable[[ImageRequest], UInt8Image | RefusedView]


def sound(request: ImageRequest) -> UInt8Image:
    """A picture that its seed decides."""
    cells = np.random.default_rng(request.seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.kron(cells, np.ones((SIZE_PX // 6, SIZE_PX // 6, 1), dtype=np.uint8))


def black(request: ImageRequest) -> UInt8Image:
    return np.zeros((SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


class ScriptedSampler:
    """Answers each request by a function of that request alone, and writes down what it was asked."""

    provenance = ModelProvenance("scripted", "1", "CC0-1.0", "f")
    size_px = SIZE_PX
    num_gpus = 1

    def __init__(self, answer: Answer = sound, images_per_batch: int = 6) -> None:
        self.images_per_batch = images_per_batch
        self.batches: list[list[ImageRequest]] = []
        self._answer = answer

    def sample(self, requests: Sequence[ImageRequest]) -> list[UInt8Image | RefusedView]:
        self.batches.append(list(requests))
        return [self._answer(request) for request in requests]


class KeywordAgreement:
    """Agrees with every view but those whose mean brightness is below a bound that the caption names."""

    threshold = 0.5
    fingerprint = "keyword"

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []

    def scores(self, images: Sequence[UInt8Image], text: str) -> list[float]:
        self.calls.append((len(images), text))
        return [float(image.mean() > 124) for image in images]


def captions(count: int) -> Iterator[CaptionToDraw]:
    for number in range(count):
        identity = caption_id("fruit", 0, "apple", "c", number)
        yield CaptionToDraw(number, identity, f"Apple {number}.", "apple")


def outcomes(groups: Sequence[PositiveGroup]) -> dict[int, object]:
    return {
        g.caption.position: (g.reason, tuple(g.reseeds), tuple(v.encoded for v in g.views)) for g in groups
    }


def sometimes_bad(request: ImageRequest) -> UInt8Image | RefusedView:
    """Bad in three ways for a share of seeds; hopeless for every seventh caption's second view."""
    if request.view == 1 and int(request.caption_id, 16) % 7 == 0:
        return black(request)
    kind = request.seed % 8
    if kind == 0:
        return RefusedView("unsafe")
    if kind == 1:
        return black(request)
    if kind == 2:
        return sound(request)[:-1]
    return sound(request)


def test_a_sound_caption_gets_four_views_of_its_own_seeds() -> None:
    groups = list(draw_groups(ScriptedSampler(), captions(5), RULES))
    assert [group.caption.position for group in groups] == [0, 1, 2, 3, 4]
    for group in groups:
        assert (group.reason, group.reseeds, group.num_requests, group.drawn) == (None, [0] * 4, 4, [])
        assert [(view.width, view.height) for view in group.views] == [(SIZE_PX, SIZE_PX)] * 4
        assert len({view.perceptual_hash for view in group.views}) == 4


def test_no_caption_gives_no_group() -> None:
    assert list(draw_groups(ScriptedSampler(), captions(0), RULES)) == []


def test_webp_is_stored_where_it_is_asked_for() -> None:
    (group,) = draw_groups(ScriptedSampler(), captions(1), GroupRules("webp", 90, 0))
    assert [extension_of(view.encoded) for view in group.views] == ["webp"] * 4
    assert decode(group.views[0].encoded).shape == (SIZE_PX, SIZE_PX, 3)


@given(images_per_batch=st.integers(1, 40), count=st.integers(1, 12))
def test_batches_change_no_outcome(images_per_batch: int, count: int) -> None:
    groups = list(draw_groups(ScriptedSampler(sometimes_bad, images_per_batch), captions(count), RULES))
    alone = [g for c in captions(count) for g in draw_groups(ScriptedSampler(sometimes_bad), [c], RULES)]
    assert outcomes(groups) == outcomes(alone)


def test_every_caption_has_one_outcome_and_every_request_is_counted() -> None:
    sampler = ScriptedSampler(sometimes_bad)
    groups = list(draw_groups(sampler, captions(60), RULES))
    assert sorted(group.caption.position for group in groups) == list(range(60))
    assert sum(group.num_requests for group in groups) == sum(len(batch) for batch in sampler.batches)
    assert {group.reason for group in groups} >= {None, "blank"}
    for group in groups:
        assert len(group.views) == (4 if group.reason is None else 0)


def test_a_failed_view_is_drawn_again_under_the_next_seed_and_its_siblings_are_not() -> None:
    def first_is_refused(request: ImageRequest) -> UInt8Image | RefusedView:
        return RefusedView("unsafe") if (request.view, request.reseed) == (2, 0) else sound(request)

    sampler = ScriptedSampler(first_is_refused)
    (group,) = draw_groups(sampler, captions(1), RULES)
    assert group.reseeds == [0, 0, 1, 0]
    again = sampler.batches[1]
    assert [(request.view, request.reseed) for request in again] == [(2, 1)]
    assert again[0].seed == image_seed(group.caption.caption_id, 2, 1)


@pytest.mark.parametrize("max_reseeds", [0, 2])
def test_a_view_that_keeps_failing_gives_its_caption_up(max_reseeds: int) -> None:
    def hopeless(request: ImageRequest) -> UInt8Image | RefusedView:
        return RefusedView("unsafe") if request.view == 3 else sound(request)

    sampler = ScriptedSampler(hopeless)
    (group,) = draw_groups(sampler, captions(1), GroupRules("jpeg", 95, max_reseeds))
    assert (group.reason, group.views, group.num_requests) == ("unsafe", (), 4 + max_reseeds)


def test_a_twin_is_drawn_again() -> None:
    def twins(request: ImageRequest) -> UInt8Image:
        copied = ImageRequest(request.caption_id, 0, 0, image_seed(request.caption_id, 0, 0), "", "")
        return sound(copied if (request.view, request.reseed) == (3, 0) else request)

    (group,) = draw_groups(ScriptedSampler(twins), captions(1), RULES)
    assert (group.reason, group.reseeds) == (None, [0, 0, 0, 1])


def test_a_view_that_does_not_show_its_caption_is_drawn_again_and_each_view_is_scored_once() -> None:
    agreement = KeywordAgreement()
    rules = GroupRules("jpeg", 95, 20, agreement)
    groups = list(draw_groups(ScriptedSampler(), captions(6), rules))
    assert rules.checks[-1] == "text_mismatch"
    assert {group.reason for group in groups} == {None}
    assert sum(sum(group.reseeds) for group in groups) > 5
    assert all(decode(view.encoded).mean() > 124 for group in groups for view in group.views)
    assert sum(count for count, _ in agreement.calls) == sum(group.num_requests for group in groups)


def test_a_caption_that_is_never_shown_is_given_up_as_text_mismatch() -> None:
    def dark(request: ImageRequest) -> UInt8Image:
        return sound(request) // 4

    (group,) = draw_groups(ScriptedSampler(dark), captions(1), GroupRules("jpeg", 95, 2, KeywordAgreement()))
    assert (group.reason, group.reseeds) == ("text_mismatch", [2, 2, 2, 2])


def test_batches_are_full_and_the_same_in_every_run() -> None:
    runs = []
    for _ in range(3):
        sampler = ScriptedSampler(sometimes_bad, 10)
        list(draw_groups(sampler, captions(40), RULES))
        runs.append(sampler.batches)
    assert runs[0] == runs[1] == runs[2]
    sizes = [len(batch) for batch in runs[0]]
    assert set(sizes[: 40 * 4 // 10]) == {10}


def test_the_next_batch_is_sampled_while_the_last_one_is_checked() -> None:
    sampled_second, checking_first = threading.Event(), threading.Event()

    class Waiting(KeywordAgreement):
        def scores(self, images: Sequence[UInt8Image], text: str) -> list[float]:
            checking_first.set()
            assert sampled_second.wait(10), "no second batch was sampled while the first was checked"
            return [1.0] * len(images)

    def answer(request: ImageRequest) -> UInt8Image:
        if request.text == "Apple 1.":
            assert checking_first.wait(10)
            sampled_second.set()
        return sound(request)

    rules = GroupRules("jpeg", 95, 0, Waiting())
    assert len(list(draw_groups(ScriptedSampler(answer, 4), captions(3), rules))) == 3


def test_captions_are_read_as_they_are_needed_and_no_pixels_are_kept() -> None:
    read = 0

    def counted() -> Iterator[CaptionToDraw]:
        nonlocal read
        for caption in captions(1000):
            read += 1
            yield caption

    for finished, group in enumerate(draw_groups(ScriptedSampler(images_per_batch=8), counted(), RULES), 1):
        assert group.drawn == []
        assert read - finished <= 3 * 2
        if finished == 50:
            break


def test_what_the_sampler_raises_comes_through() -> None:
    def fails(request: ImageRequest) -> UInt8Image:
        raise RuntimeError("device lost")

    with pytest.raises(RuntimeError, match="device lost"):
        list(draw_groups(ScriptedSampler(fails), captions(2), RULES))
