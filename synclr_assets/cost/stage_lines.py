"""What each stage takes, from a bucket's work and the figures: one function per stage. Arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass

from synclr_assets.cost.amounts import Line
from synclr_assets.cost.rates import Figures, known, number, text
from synclr_assets.cost.workload import BucketWork
from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.stages.ledger import SECONDS_PER_HOUR, Prices

TAR_OVERHEAD_BYTES = 768
"""Header of a tar member and the mean padding behind it."""
IMAGE_ROW_BYTES = 75
"""Compressed row of facts of one image."""
BACKGROUND_ROW_BYTES = 30
"""Compressed row of one background."""
RESUME_COPIES = 4
"""A resume point holds the student, two moments of AdamW and the teacher."""
EVALUATIONS = 2
SECONDS_PER_DAY = 86_400.0


@dataclass
class Asked:
    """The figures, and which of those asked for are not known."""

    figures: Figures

    def __post_init__(self) -> None:
        self.unknown: set[str] = set()

    def rate(self, place: str) -> float | None:
        value = number(self.figures, place)
        if value is None:
            self.unknown.add(place)
        return value

    def known(self, place: str) -> float:
        return known(self.figures, place)

    def line(
        self,
        section: str,
        stage: str,
        bucket: str | None,
        *,
        units: float,
        seconds: float | None,
        size_bytes: float,
        on: str,
        requests: float = 0.0,
        prompt_tokens: float = 0.0,
        completion_tokens: float = 0.0,
    ) -> Line:
        """A line from the worker-seconds of the stage."""
        hours = None if seconds is None else seconds / SECONDS_PER_HOUR
        usd = (
            self._tokens_usd(section, prompt_tokens, completion_tokens)
            if on == "api"
            else self._hours_usd(on, hours)
        )
        workers = self.known(f"{section}.workers")
        return Line(
            stage=stage,
            bucket=bucket,
            units=units,
            requests=requests,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            gpu_hours=hours if on == "gpu" else 0.0,
            cpu_hours=hours if on == "cpu" else 0.0,
            size_bytes=size_bytes,
            usd=usd,
            days=None if seconds is None else seconds / workers / SECONDS_PER_DAY,
        )

    def _hours_usd(self, on: str, hours: float | None) -> float | None:
        if hours == 0:
            return 0.0
        price = self.rate(f"prices.usd_per_{on}_hour")
        if price == 0:
            return 0.0
        return None if price is None or hours is None else price * hours

    def _tokens_usd(self, section: str, prompt_tokens: float, completion_tokens: float) -> float | None:
        if not prompt_tokens + completion_tokens:
            return 0.0
        read = self.rate(f"{section}.usd_per_million_prompt_tokens")
        written = self.rate(f"{section}.usd_per_million_completion_tokens")
        if read is None or written is None:
            return None
        prices = Prices(usd_per_million_prompt_tokens=read, usd_per_million_completion_tokens=written)
        return prices.usd(prompt_tokens, completion_tokens, gpu_seconds=0.0)


def caption_line(asked: Asked, stage: str, work: BucketWork, templates: tuple[str, ...]) -> Line:
    num_drawn = sum(work.captions_by_template[template] for template in templates)
    attempts = asked.known("captioner.attempts_per_caption")
    prompt_tokens = attempts * sum(
        work.captions_by_template[template] * asked.known(f"captioner.prompt_tokens.{template}")
        for template in templates
    )
    return asked.line(
        "captioner",
        stage,
        work.bucket,
        units=num_drawn,
        seconds=_at_rate(num_drawn * attempts, asked, "captioner.completions_per_second"),
        size_bytes=work.num_captions * asked.known("captioner.row_bytes") / 2,
        on=text(asked.figures, "captioner.runs_on"),
        requests=num_drawn * attempts,
        prompt_tokens=prompt_tokens,
        completion_tokens=num_drawn * attempts * asked.known("captioner.completion_tokens"),
    )


def background_line(asked: Asked, work: BucketWork) -> Line:
    requests = work.num_background_lists * asked.known("backgrounds.attempts_per_list")
    on = text(asked.figures, "backgrounds.runs_on")
    listed = asked.known("backgrounds.backgrounds_per_list")
    per_list = listed * asked.known("backgrounds.completion_tokens_per_background")
    reads_tokens = 0.0 if on == "cpu" else 1.0  # a dictionary reads and writes none
    return asked.line(
        "backgrounds",
        "backgrounds",
        work.bucket,
        units=work.num_background_lists,
        seconds=_at_rate(requests, asked, "backgrounds.lists_per_second"),
        size_bytes=work.num_background_lists * listed * BACKGROUND_ROW_BYTES,
        on=on,
        requests=requests,
        prompt_tokens=reads_tokens * requests * asked.known("backgrounds.prompt_tokens_per_list"),
        completion_tokens=reads_tokens * requests * per_list,
    )


def image_line(asked: Asked, work: BucketWork) -> Line:
    num_images = work.num_captions * VIEWS_PER_CAPTION
    drawn = num_images * asked.known("images.draws_per_image")
    return asked.line(
        "images",
        "images",
        work.bucket,
        units=num_images,
        seconds=_at_rate(drawn, asked, "images.images_per_second"),
        size_bytes=num_images * (asked.known("images.bytes_per_image") + IMAGE_ROW_BYTES),
        on=text(asked.figures, "images.runs_on"),
        requests=drawn,
    )


def shard_line(asked: Asked, work: BucketWork) -> Line:
    view_bytes = VIEWS_PER_CAPTION * (asked.known("images.bytes_per_image") + TAR_OVERHEAD_BYTES)
    sample_bytes = view_bytes + 2 * TAR_OVERHEAD_BYTES + asked.known("packing.record_bytes")
    size_bytes = work.num_captions * sample_bytes
    return asked.line(
        "packing",
        "shards",
        work.bucket,
        units=work.num_captions,
        seconds=_at_rate(size_bytes, asked, "packing.bytes_per_second"),
        size_bytes=size_bytes,
        on="cpu",
    )


def training_line(asked: Asked) -> Line:
    images = asked.known("training.steps") * asked.known("training.images_per_step")
    return asked.line(
        "training",
        "checkpoint",
        None,
        units=asked.known("training.steps"),
        seconds=_at_rate(images, asked, "training.images_per_second"),
        size_bytes=asked.known("training.encoder_bytes") * (1 + RESUME_COPIES),
        on=text(asked.figures, "training.runs_on"),
    )


def evaluation_line(asked: Asked) -> Line:
    """A training image costs so many forwards; the evaluations are counted in the same forwards."""
    forwards = asked.known("evaluations.probe_image_passes") + asked.known(
        "evaluations.segmentation_image_passes"
    ) * asked.known("evaluations.segmentation_forwards_per_image")
    seconds = _at_rate(
        forwards / asked.known("training.forwards_per_image"), asked, "training.images_per_second"
    )
    return asked.line(
        "training",
        "evaluations",
        None,
        units=EVALUATIONS,
        seconds=None if seconds is None else seconds + EVALUATIONS * asked.known("evaluations.start_seconds"),
        size_bytes=0.0,
        on=text(asked.figures, "training.runs_on"),
    )


def _at_rate(amount: float, asked: Asked, place: str) -> float | None:
    if not amount:
        return 0.0
    rate = asked.rate(place)
    return None if rate is None else amount / rate
