"""A quote: what a slice will take, per stage and bucket, from its workload and the figures. Arithmetic only.

A figure that nobody knows makes the amounts that need it unknown (None) and is named; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from synclr_assets.cost.rates import Figure, Figures, known, number, text
from synclr_assets.cost.workload import BucketWork
from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.stages.ledger import SECONDS_PER_HOUR, Prices

STAGES = ("captions", "backgrounds", "enriched_captions", "images", "shards", "checkpoint", "evaluations")
PER_CAPTION_STAGES = ("captions", "enriched_captions", "images")
TAR_OVERHEAD_BYTES = 768
"""Header of a tar member and the mean padding behind it."""
IMAGE_ROW_BYTES = 75
"""Compressed row of facts of one image."""
RESUME_COPIES = 4
"""A resume point holds the student, two moments of AdamW and the teacher."""
EVALUATIONS = 2
SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True)
class Line:
    """What one stage takes for one bucket, or for the slice where `bucket` is None. None is unknown."""

    stage: str
    bucket: str | None
    units: float
    """Captions, lists, images, bytes-bearing captions or steps: what the stage counts in."""
    requests: float
    prompt_tokens: float
    completion_tokens: float
    gpu_hours: float | None
    cpu_hours: float | None
    size_bytes: float
    usd: float | None
    days: float | None
    """Wall time with the stage's workers."""


@dataclass(frozen=True)
class Total:
    """Lines added up; unknown amounts are left out of the sums and make them lower bounds."""

    num_lines: int
    requests: float
    prompt_tokens: float
    completion_tokens: float
    gpu_hours: float
    cpu_hours: float
    size_bytes: float
    usd: float
    days: float
    is_complete: bool
    """Whether every amount was known."""


@dataclass(frozen=True)
class Quote:
    """Everything a quote says."""

    work: tuple[BucketWork, ...]
    lines: tuple[Line, ...]
    figures: dict[str, Figure]
    unknown: tuple[str, ...]
    """Figures that were wanted and that nobody knows."""

    @property
    def num_captions(self) -> int:
        return sum(one.num_captions for one in self.work)

    def of_stage(self, stage: str) -> Total:
        """All buckets of one stage."""
        return total(line for line in self.lines if line.stage == stage)

    def of_bucket(self, bucket: str) -> Total:
        """All stages of one bucket; training and evaluation belong to the slice."""
        return total(line for line in self.lines if line.bucket == bucket)

    @property
    def whole(self) -> Total:
        return total(self.lines)

    @property
    def expected(self) -> dict[str, dict[str, float]]:
        """Costs of one cursor value per stage, as the `expected` of a budget file takes them; known ones only."""
        counted = {
            **dict.fromkeys(PER_CAPTION_STAGES, float(self.num_captions)),
            "backgrounds": float(sum(one.num_background_lists for one in self.work)),
        }
        expected = {}
        for stage, count in counted.items():
            lines = [line for line in self.lines if line.stage == stage]
            amounts: dict[str, Callable[[Line], float | None]] = {
                "usd": lambda line: line.usd,
                "tokens": lambda line: line.prompt_tokens + line.completion_tokens,
                "gpu_seconds": lambda line: None if line.gpu_hours is None else line.gpu_hours * SECONDS_PER_HOUR,
                "requests": lambda line: line.requests,
            }
            sums = {name: _sum(map(amount, lines)) for name, amount in amounts.items()}
            if count:
                expected[stage] = {name: value / count for name, value in sums.items() if value is not None}
        return expected


def quote(work: Sequence[BucketWork], figures: Figures) -> Quote:
    """The quote of a workload. Takes as long for a hundred million captions as for a hundred."""
    asked = _Asked(figures)
    lines: list[Line] = []
    for one in work:
        lines += [
            _caption_line(asked, "captions", one, ("c", "c_rel")),
            _background_line(asked, one),
            _caption_line(asked, "enriched_captions", one, ("c_bg",)),
            _image_line(asked, one),
            _shard_line(asked, one),
        ]
    lines += [_training_line(asked), _evaluation_line(asked)]
    return Quote(tuple(work), tuple(lines), dict(figures), tuple(sorted(asked.unknown)))


def total(lines: Iterable[Line]) -> Total:
    """The sum of the lines."""
    chosen = list(lines)

    def add(amount: Callable[[Line], float | None]) -> float:
        return sum(amount(line) or 0.0 for line in chosen)

    return Total(
        num_lines=len(chosen),
        requests=add(lambda line: line.requests),
        prompt_tokens=add(lambda line: line.prompt_tokens),
        completion_tokens=add(lambda line: line.completion_tokens),
        gpu_hours=add(lambda line: line.gpu_hours),
        cpu_hours=add(lambda line: line.cpu_hours),
        size_bytes=add(lambda line: line.size_bytes),
        usd=add(lambda line: line.usd),
        days=add(lambda line: line.days),
        is_complete=all(
            None not in (line.gpu_hours, line.cpu_hours, line.usd, line.days) for line in chosen
        ),
    )


@dataclass
class _Asked:
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
        usd = self._tokens_usd(section, prompt_tokens, completion_tokens) if on == "api" else self._hours_usd(on, hours)
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
        return prices.usd(prompt_tokens, completion_tokens, 0.0)  # type: ignore[arg-type]


def _caption_line(asked: _Asked, stage: str, work: BucketWork, templates: tuple[str, ...]) -> Line:
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
        on=text(asked.figures, "captioner.on"),
        requests=num_drawn * attempts,
        prompt_tokens=prompt_tokens,
        completion_tokens=num_drawn * attempts * asked.known("captioner.completion_tokens"),
    )


def _background_line(asked: _Asked, work: BucketWork) -> Line:
    requests = work.num_background_lists * asked.known("backgrounds.attempts_per_list")
    on = text(asked.figures, "backgrounds.on")
    listed = asked.known("backgrounds.backgrounds_per_list")
    per_list = listed * asked.known("backgrounds.completion_tokens_per_background")
    reads_tokens = 0.0 if on == "cpu" else 1.0  # a dictionary reads and writes none
    return asked.line(
        "backgrounds",
        "backgrounds",
        work.bucket,
        units=work.num_background_lists,
        seconds=_at_rate(requests, asked, "backgrounds.lists_per_second"),
        size_bytes=work.num_background_lists * listed * 30.0,
        on=on,
        requests=requests,
        prompt_tokens=reads_tokens * requests * asked.known("backgrounds.prompt_tokens_per_list"),
        completion_tokens=reads_tokens * requests * per_list,
    )


def _image_line(asked: _Asked, work: BucketWork) -> Line:
    num_images = work.num_captions * VIEWS_PER_CAPTION
    drawn = num_images * asked.known("images.draws_per_image")
    return asked.line(
        "images",
        "images",
        work.bucket,
        units=num_images,
        seconds=_at_rate(drawn, asked, "images.images_per_second"),
        size_bytes=num_images * (asked.known("images.bytes_per_image") + IMAGE_ROW_BYTES),
        on=text(asked.figures, "images.on"),
        requests=drawn,
    )


def _shard_line(asked: _Asked, work: BucketWork) -> Line:
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


def _training_line(asked: _Asked) -> Line:
    images = asked.known("training.steps") * asked.known("training.images_per_step")
    return asked.line(
        "training",
        "checkpoint",
        None,
        units=asked.known("training.steps"),
        seconds=_at_rate(images, asked, "training.images_per_second"),
        size_bytes=asked.known("training.encoder_bytes") * (1 + RESUME_COPIES),
        on=text(asked.figures, "training.on"),
    )


def _evaluation_line(asked: _Asked) -> Line:
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
        on=text(asked.figures, "training.on"),
    )


def _at_rate(amount: float, asked: _Asked, place: str) -> float | None:
    if not amount:
        return 0.0
    rate = asked.rate(place)
    return None if rate is None else amount / rate


def _sum(amounts: Iterable[float | None]) -> float | None:
    values = list(amounts)
    return None if None in values else sum(value for value in values if value is not None)
