"""Drawing positive groups: sampling the next views while the previous ones are encoded and checked. Stores nothing.

A caption's views are judged together, and only by what belongs to that caption, so the outcome never depends on which
other captions were drawn at the same time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from synclr_assets.synthesis.encoding import ImageFormat, decode, encode
from synclr_assets.synthesis.identity import image_seed
from synclr_assets.synthesis.image_checks import GROUP_CHECKS, TEXT_MISMATCH, check_group, perceptual_hash
from synclr_assets.synthesis.image_text_agreement import ImageTextAgreement
from synclr_assets.synthesis.protocols import ImageRequest, ImageSampler, RefusedView, UInt8Image

VIEWS_PER_CAPTION = 4


@dataclass(frozen=True)
class GroupRules:
    """How views are kept, whatever draws them."""

    image_format: ImageFormat
    """Encoding of the kept views."""
    quality: int
    """Quality of the encoding, 1 to 95."""
    max_reseeds: int
    """New seeds per view before its caption is given up."""
    agreement: ImageTextAgreement | None = None
    """Scorer of image-text agreement, where there is one."""

    @property
    def checks(self) -> tuple[str, ...]:
        """Reasons for which a view can be refused here."""
        return GROUP_CHECKS if self.agreement is None else (*GROUP_CHECKS, TEXT_MISMATCH)


@dataclass(frozen=True)
class CaptionToDraw:
    """A caption as far as its images need it."""

    position: int
    """Place in the bucket's plan."""
    caption_id: str
    """32 hex characters."""
    text: str
    """The final caption."""
    concept: str
    """Display text of its concept."""


@dataclass(frozen=True)
class KeptView:
    """A view that passed every check."""

    encoded: bytes
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    perceptual_hash: str
    """16 hex characters, of the decoded bytes."""


@dataclass
class _Drawn:
    """A view as it will be read: encoded and decoded again."""

    encoded: bytes
    image: UInt8Image
    agrees: bool | None = None


@dataclass
class PositiveGroup:
    """The views of one caption while they are drawn, and the outcome."""

    caption: CaptionToDraw
    reseeds: list[int] = field(default_factory=lambda: [0] * VIEWS_PER_CAPTION)
    """Earlier seeds of each view that failed a check."""
    views: tuple[KeptView, ...] = ()
    """All views once the group is whole; none before, and none where `reason` is given."""
    reason: str | None = None
    """Why the caption was given up."""
    num_requests: int = 0
    """Views asked for, failed ones included."""
    sampling_seconds: float = 0.0
    """This group's share of the time spent in the sampler."""
    drawn: list[_Drawn | RefusedView | None] = field(default_factory=lambda: [None] * VIEWS_PER_CAPTION)
    """Views under way; empty once there is an outcome, so that no pixels are kept."""

    def request(self, view: int) -> ImageRequest:
        """The request for a view under its present reseed count."""
        reseed = self.reseeds[view]
        return ImageRequest(
            caption_id=self.caption.caption_id,
            view=view,
            reseed=reseed,
            seed=image_seed(self.caption.caption_id, view, reseed),
            text=self.caption.text,
            concept=self.caption.concept,
        )


_Wanted = tuple[PositiveGroup, int]
_Outcome = tuple[list[PositiveGroup], list[_Wanted]]


def draw_groups(
    sampler: ImageSampler, captions: Iterable[CaptionToDraw], rules: GroupRules
) -> Iterator[PositiveGroup]:
    """One finished group per caption, about in their order. A failing view is drawn again under its next seed.

    `captions` are read as views of them are needed. While a batch is sampled here, the batch before it is encoded and
    checked by one other thread; what is sampled next depends on finished checks by count, never by time, so batches
    are the same in every run.
    """
    source = iter(captions)
    wanted: deque[_Wanted] = deque()
    checking: Future[_Outcome] | None = None
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="views") as checker:
        while True:
            while len(wanted) < sampler.images_per_batch and (caption := next(source, None)) is not None:
                group = PositiveGroup(caption)
                wanted.extend((group, view) for view in range(VIEWS_PER_CAPTION))
            if not wanted and checking is None:
                return
            before, checking = checking, None
            if wanted:
                batch = [wanted.popleft() for _ in range(min(len(wanted), sampler.images_per_batch))]
                views = _sample(sampler, batch)
                checking = checker.submit(_take, batch, views, rules, sampler.size_px)
            if before is not None:
                finished, failed = before.result()
                wanted.extendleft(reversed(failed))
                yield from finished


def _sample(sampler: ImageSampler, batch: Sequence[_Wanted]) -> Sequence[UInt8Image | RefusedView]:
    started = time.monotonic()
    views = sampler.sample([group.request(view) for group, view in batch])
    seconds_per_view = (time.monotonic() - started) / len(batch)
    for group, _ in batch:
        group.num_requests += 1
        group.sampling_seconds += seconds_per_view
    return views


def _take(
    batch: Sequence[_Wanted], views: Sequence[UInt8Image | RefusedView], rules: GroupRules, size_px: int
) -> _Outcome:
    """Encode a batch and judge the groups it completes: those that are finished, and the views to draw again."""
    for (group, view), image in zip(batch, views, strict=True):
        if isinstance(image, RefusedView):
            group.drawn[view] = image
        else:
            encoded = encode(image, rules.image_format, rules.quality)
            group.drawn[view] = _Drawn(encoded, decode(encoded))
    finished, failed = [], []
    complete = {id(group): group for group, _ in batch if None not in group.drawn}
    for group in complete.values():
        again = _judge(group, rules, size_px)
        if again:
            failed += [(group, view) for view in again]
        else:
            finished.append(group)
    return finished, failed


def _judge(group: PositiveGroup, rules: GroupRules, size_px: int) -> list[int]:
    """The views to draw again; none where the group has its outcome."""
    reasons = _reasons(group, rules, size_px)
    failed = [view for view, reason in enumerate(reasons) if reason is not None]
    spent = [view for view in failed if group.reseeds[view] == rules.max_reseeds]
    if spent or not failed:
        if spent:
            group.reason = reasons[spent[0]]
        else:
            group.views = tuple(_kept(view) for view in group.drawn)
        group.drawn = []
        return []
    for view in failed:
        group.reseeds[view] += 1
        group.drawn[view] = None
    return failed


def _reasons(group: PositiveGroup, rules: GroupRules, size_px: int) -> list[str | None]:
    """Why each view cannot stay: refused by the sampler, by the checks of images, or for not showing its caption."""
    reasons = [view.reason if isinstance(view, RefusedView) else None for view in group.drawn]
    shown = {number: view for number, view in enumerate(group.drawn) if isinstance(view, _Drawn)}
    found = check_group([view.image for view in shown.values()], size_px)
    for number, reason in zip(shown, found, strict=True):
        reasons[number] = reason
    if rules.agreement is not None:
        new = [n for n, view in shown.items() if reasons[n] is None and view.agrees is None]
        scores = rules.agreement.scores([shown[n].image for n in new], group.caption.text) if new else []
        for number, score in zip(new, scores, strict=True):
            shown[number].agrees = score >= rules.agreement.threshold
        for number, view in shown.items():
            if reasons[number] is None and not view.agrees:
                reasons[number] = TEXT_MISMATCH
    return reasons


def _kept(view: _Drawn | RefusedView | None) -> KeptView:
    assert isinstance(view, _Drawn)
    height, width = view.image.shape[:2]
    return KeptView(view.encoded, width, height, perceptual_hash(view.image))
