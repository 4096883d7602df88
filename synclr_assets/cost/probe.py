"""Measuring this machine for a few seconds: captioner, backgrounds, image sampler, packing, training.

Runs the very generators that the registries make and the very trainer, on a sample of the bank's concepts, in
a scratch folder. A generator behind a paid API is paid for what the probe asks of it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.rates import Figure, Generators
from synclr_assets.cost.training_probe import training_speed
from synclr_assets.cost.workload import buckets_of
from synclr_assets.stages.captions import CaptionSettings
from synclr_assets.stages.images import ImageSettings
from synclr_assets.synthesis.backgrounds import make_background_writer
from synclr_assets.synthesis.caption_checks import check_caption
from synclr_assets.synthesis.captioners import make_captioner
from synclr_assets.synthesis.identity import TEMPLATES, digest_hex, draw, draw_distinct
from synclr_assets.synthesis.image_samplers import make_image_sampler
from synclr_assets.synthesis.packing import Sample, pack_shard
from synclr_assets.synthesis.positive_groups import CaptionToDraw, GroupRules, PositiveGroup, draw_groups
from synclr_assets.synthesis.prompts import ARROW, PromptSet
from synclr_assets.synthesis.protocols import CaptionRequest, Completion
from synclr_assets.synthesis.purchases import CaptionRewriter, ListWriter
from synclr_train.recipes import Recipe

MAX_CONCEPTS = 64
CAPTIONS_PER_ROUND = 32
BACKGROUNDS_PER_LIST = 100
MAX_LISTS = 4
"""Background lists asked for: enough to time, few enough to pay for."""
MAX_GROUPS = 512
PACKING_CAPTIONS = 128

Tell = Callable[[str], None]


@dataclass
class Measured:
    """What a probe found out."""

    figures: dict[str, Figure] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    def note(self, section: str, because: str, **rates: float | str) -> None:
        """Take measured figures of one section."""
        for name, value in rates.items():
            self.figures[f"{section}.{name}"] = Figure(value, "measured", because)


def probe(
    bank: ConceptBank, slice_name: str, generators: Generators, recipe: Recipe, seconds: float, tell: Tell
) -> Measured:
    """Measure every part for about `seconds`; one whole batch at least. Raises what a generator raises."""
    measured = Measured()
    concepts = _concepts(bank, slice_name)
    tell("captioner")
    texts = _probe_captioner(measured, generators, concepts, seconds)
    tell("background writer")
    _probe_backgrounds(measured, generators, concepts)
    tell("image sampler")
    groups = _probe_images(measured, generators, texts, seconds)
    if not groups:
        measured.remarks.append("packing and training were not measured: no caption got its images.")
        return measured
    folder = Path(tempfile.mkdtemp(prefix="synclr-probe-"))
    try:
        tell("packing")
        shard = _probe_packing(measured, groups, folder)
        tell(f"training, recipe {recipe.name}")
        _probe_training(measured, recipe, shard, folder, len(groups), seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return measured


def _concepts(bank: ConceptBank, slice_name: str) -> list[tuple[str, str]]:
    """(display text, source) of a fixed sample of the slice's concepts."""
    buckets = [bank.buckets[name] for name in buckets_of(bank, slice_name)]
    pairs = [(concept.text, bucket.source) for bucket in buckets for concept in bucket.concepts]
    return draw_distinct("probe", choices=pairs, count=MAX_CONCEPTS)


def _probe_captioner(
    measured: Measured, generators: Generators, concepts: Sequence[tuple[str, str]], seconds: float
) -> list[tuple[CaptionRequest, str]]:
    captioner, prompts = make_captioner(generators.captioner), generators.captioner.prompts()
    captioner.complete(_requests(prompts, concepts, 0, len(TEMPLATES)))  # loads the weights
    answered: list[tuple[CaptionRequest, Completion]] = []
    started = time.monotonic()
    while not answered or time.monotonic() - started < seconds:
        requests = _requests(prompts, concepts, len(TEMPLATES) + len(answered), CAPTIONS_PER_ROUND)
        answered += zip(requests, captioner.complete(requests), strict=True)
    elapsed = time.monotonic() - started
    good = [(request, one.text) for request, one in answered if check_caption(one.text, request) is None]
    model = captioner.provenance.model
    because = f"{len(answered)} completions by {model} in {elapsed:.1f} s"
    attempts = min(len(answered) / max(len(good), 1), CaptionSettings().max_attempts)
    measured.note(
        "captioner",
        because,
        model=model,
        runs_on=_place(generators.captioner.kind, captioner),
        completions_per_second=len(answered) / elapsed,
        completion_tokens=max(sum(one.completion_tokens for _, one in answered) / len(answered), 1.0),
        attempts_per_caption=attempts,
    )
    for template in TEMPLATES:
        tokens = [one.prompt_tokens for request, one in answered if request.template == template]
        measured.note("captioner.prompt_tokens", because, **{template: max(sum(tokens) / len(tokens), 1.0)})
    return good


def _requests(
    prompts: PromptSet, concepts: Sequence[tuple[str, str]], first: int, count: int
) -> list[CaptionRequest]:
    """Requests over all templates in turn, about the sampled concepts."""
    requests = []
    for number in range(first, first + count):
        template = TEMPLATES[number % len(TEMPLATES)]
        identity = digest_hex("probe", template, number)
        example = draw("background", identity, choices=prompts.examples["c_bg"]).partition(ARROW)[0]
        requests.append(
            prompts.request(
                caption_id=identity,
                concept=concepts[number % len(concepts)][0],
                template=template,
                relation=draw("relation", identity, choices=prompts.relations)
                if template == "c_rel"
                else None,
                background=example.rpartition(", ")[2] if template == "c_bg" else None,
                attempt=0,
            )
        )
    return requests


def _probe_backgrounds(
    measured: Measured, generators: Generators, concepts: Sequence[tuple[str, str]]
) -> None:
    writer = make_background_writer(generators.backgrounds)
    if isinstance(writer, CaptionRewriter):
        measured.remarks.append("Backgrounds were not measured: the rewriter works on captions, one by one.")
        return
    started = time.monotonic()
    if isinstance(writer, ListWriter):
        lists = writer.write_lists([concept for concept, _ in concepts[:MAX_LISTS]], BACKGROUNDS_PER_LIST)
    else:
        lists = [writer.write(*pair, BACKGROUNDS_PER_LIST) for pair in concepts[:MAX_LISTS]]
    elapsed = max(time.monotonic() - started, 1e-4)
    num_lists, num_backgrounds = len(lists), sum(map(len, lists))
    model = writer.provenance.model
    because = f"{num_lists} lists by {model} in {elapsed:.1f} s"
    measured.note(
        "backgrounds",
        because,
        model=model,
        runs_on=_place(generators.backgrounds.kind, writer),
        lists_per_second=num_lists / elapsed,
        backgrounds_per_list=max(num_backgrounds / num_lists, 1.0),
    )


def _probe_images(
    measured: Measured, generators: Generators, texts: Sequence[tuple[CaptionRequest, str]], seconds: float
) -> list[PositiveGroup]:
    if not texts:
        measured.remarks.append("images were not measured: no caption of the probe passed its checks.")
        return []
    sampler, settings = make_image_sampler(generators.images), ImageSettings()
    rules = GroupRules(settings.image_format, settings.quality, settings.max_reseeds)
    captions = [
        CaptionToDraw(number, request.caption_id, text, request.concept)
        for number, (request, text) in enumerate(texts[:MAX_GROUPS])
    ]
    list(draw_groups(sampler, captions[:1], rules))  # loads the weights
    started = time.monotonic()

    def until_late() -> Iterator[CaptionToDraw]:
        for number, caption in enumerate(captions):
            if number and time.monotonic() - started > seconds:
                return
            yield caption

    groups = list(draw_groups(sampler, until_late(), rules))
    elapsed = time.monotonic() - started
    kept = [view for group in groups for view in group.views]
    num_drawn = sum(group.num_requests for group in groups)
    model = sampler.provenance.model
    if not kept:
        measured.remarks.append(f"images were not measured: no view by {model} passed its checks.")
        return []
    measured.note(
        "images",
        f"{num_drawn} images by {model} in {elapsed:.1f} s",
        model=model,
        runs_on=_place(generators.images.kind, sampler),
        size_px=sampler.size_px,
        images_per_second=num_drawn / elapsed,
        draws_per_image=num_drawn / len(kept),
        bytes_per_image=sum(len(view.encoded) for view in kept) / len(kept),
    )
    return [group for group in groups if group.views]


def _probe_packing(measured: Measured, groups: Sequence[PositiveGroup], folder: Path) -> Path:
    samples = [_sample(group) for group in groups[:PACKING_CAPTIONS]]
    started = time.monotonic()
    for sample in samples:
        for data in sample.encoded_views:
            hashlib.sha256(data).hexdigest()
    packed = pack_shard(folder / "probe-000000.tar", samples)
    elapsed = max(time.monotonic() - started, 1e-4)
    because = f"{packed.size_bytes} bytes checked and packed in {elapsed:.2f} s, not read from a store"
    measured.note("packing", because, bytes_per_second=packed.size_bytes / elapsed)
    return packed.path


def _sample(group: PositiveGroup) -> Sample:
    caption = group.caption
    record = {"caption_id": caption.caption_id, "concept": caption.concept, "text": caption.text}
    return Sample(caption.caption_id, caption.text, tuple(view.encoded for view in group.views), record)


def _probe_training(
    measured: Measured, recipe: Recipe, shard: Path, folder: Path, num_captions: int, seconds: float
) -> None:
    speed = training_speed(recipe, shard, folder / "model", min(num_captions, PACKING_CAPTIONS), seconds)
    if isinstance(speed, str):
        measured.remarks.append(speed)
        return
    because = f"{speed.steps} steps of {speed.images_per_step} images on {speed.device}"
    measured.note(
        "training",
        because,
        runs_on="gpu" if speed.device.startswith("cuda") else "cpu",
        images_per_second=speed.images_per_second,
    )


def _place(kind: str, generator: object) -> str:
    """Where a generator works: behind an API, on a GPU, or on the CPU."""
    if kind in ("openai_compatible", "list", "rewrite"):
        return "api"
    if kind == "transformers":
        import torch

        return "gpu" if torch.cuda.is_available() else "cpu"
    return "gpu" if getattr(generator, "num_gpus", 0) else "cpu"
