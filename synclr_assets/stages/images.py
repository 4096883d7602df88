"""Stage 4: four checked views per caption (SynCLR 3.2). A caption keeps its whole positive group or is quarantined.

Drawing, checking and committing overlap: while views are sampled here, earlier ones are checked by one thread and
whole windows of captions committed, in order, by another.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.compute as pc

from synclr_assets.stages.ledger import FREE, Prices, ledger_row
from synclr_assets.stages.progress import (
    OnProgress,
    StageCounts,
    planned_captions,
    quarantined_by_reason,
    require_complete,
    silent,
)
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of, windows
from synclr_assets.store.transactions import StageWriter, Unit, check_settings, stage_cursor
from synclr_assets.synthesis.encoding import ImageFormat
from synclr_assets.synthesis.identity import digest_hex, image_seed
from synclr_assets.synthesis.image_text_agreement import ImageTextAgreement
from synclr_assets.synthesis.positive_groups import (
    VIEWS_PER_CAPTION,
    CaptionToDraw,
    GroupRules,
    PositiveGroup,
    draw_groups,
)
from synclr_assets.synthesis.protocols import ImageSampler

__all__ = ["STAGE", "VIEWS_PER_CAPTION", "ImageSettings", "settings_of", "write_images"]

STAGE = "images"
BeforeWindow = Callable[[int], None]
"""Called with the captions that would be under way; raises ValueError where no more may be begun."""


@dataclass(frozen=True)
class ImageSettings:
    """How images are drawn and kept, whatever the generator."""

    quality: int = 95
    """Quality of the stored JPEG or WebP, 1 to 95."""
    max_reseeds: int = 4
    """New seeds per view before its caption is quarantined."""
    captions_per_commit: int = 256
    """Captions that become visible together; changes no image. Memory holds the encoded images of about three."""
    image_format: ImageFormat = "jpeg"
    """How images are stored."""


@dataclass
class _Window:
    """Plan positions [start, end), committed together once all their groups are finished."""

    start: int
    end: int
    num_captions: int
    groups: list[PositiveGroup] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        return len(self.groups) == self.num_captions


def settings_of(
    sampler: ImageSampler, settings: ImageSettings, agreement: ImageTextAgreement | None = None
) -> str:
    """Fingerprint of everything an image depends on beyond its caption and view."""
    return digest_hex(
        STAGE,
        sampler.provenance.fingerprint,
        sampler.size_px,
        settings.image_format,
        settings.quality,
        settings.max_reseeds,
        "" if agreement is None else agreement.fingerprint,
    )


def write_images(
    store: Store,
    unit: Unit,
    sampler: ImageSampler,
    settings: ImageSettings = ImageSettings(),
    *,
    agreement: ImageTextAgreement | None = None,
    prices: Prices = FREE,
    run_id: str = "",
    on_progress: OnProgress = silent,
    before_window: BeforeWindow | None = None,
) -> StageCounts:
    """Draw and commit what is missing of the unit's images; a complete unit is left as it is.

    Raises SettingsChangedError, FencedError, NotReadyError, what the sampler raises, and what `before_window` raises
    once all that was begun is committed.
    """
    tables = store.tables
    fingerprint = settings_of(sampler, settings, agreement)
    check_settings(tables, STAGE, unit, fingerprint)
    total = planned_captions(tables, unit)
    require_complete(tables, "enriched_captions", unit, total)
    if stage_cursor(tables, STAGE, unit) < total:
        rules = GroupRules(settings.image_format, settings.quality, settings.max_reseeds, agreement)
        writer = _ImageWriter(store, unit, sampler, rules, fingerprint, prices, run_id, total, on_progress)
        writer.run(settings.captions_per_commit, before_window)
    return StageCounts(
        unit,
        allocated=tables.count("enriched_captions", partitions=unit.partitions),
        written=tables.count(STAGE, partitions=unit.partitions, where=pc.field("view") == 0),
        quarantined=quarantined_by_reason(tables, STAGE, unit),
    )


class _ImageWriter:
    """Draws the missing images of one unit, window after window."""

    def __init__(
        self,
        store: Store,
        unit: Unit,
        sampler: ImageSampler,
        rules: GroupRules,
        fingerprint: str,
        prices: Prices,
        run_id: str,
        total: int,
        on_progress: OnProgress,
    ) -> None:
        self._store = store
        self._unit = unit
        self._sampler = sampler
        self._rules = rules
        self._fingerprint = fingerprint
        self._prices = prices
        self._run_id = run_id
        self._total = total
        self._on_progress = on_progress
        self._writer = StageWriter.open(
            store.tables, STAGE, unit, sides=("image_bytes", "quarantine", "ledger"), run_id=run_id
        )
        self._open: deque[_Window] = deque()
        self._window_of: dict[str, _Window] = {}
        self._committing: Future[int] | None = None
        self._clock = time.monotonic()

    def run(self, captions_per_commit: int, before_window: BeforeWindow | None) -> None:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="commits") as committer:
            while self._writer.cursor < self._total:
                captions = self._captions(captions_per_commit, before_window)
                for group in draw_groups(self._sampler, captions, self._rules):
                    self._window_of.pop(group.caption.caption_id).groups.append(group)
                    self._commit_finished(committer)
                self._commit_finished(committer)
                self._await_commit()
                assert not self._open

    def _captions(
        self, captions_per_commit: int, before_window: BeforeWindow | None
    ) -> Iterator[CaptionToDraw]:
        """The captions from the cursor on, read window by window as they are needed.

        Ends early where `before_window` refuses while windows are under way: it is asked again once they are
        committed, when it can count what they cost.
        """
        tables = self._store.tables
        corpus = tables.snapshot("enriched_captions", self._unit.partitions)
        assert corpus is not None
        spoken = _display_texts(self._store, self._unit)
        columns = ["position", "caption_id", "text", "concept"]
        for start, end, rows in windows(
            corpus, "position", self._writer.cursor, self._total, captions_per_commit, columns
        ):
            if before_window is not None and not self._may_begin(start, end, before_window):
                return
            window = _Window(start, end, rows.num_rows)
            self._open.append(window)
            for row in rows.to_pylist():
                self._window_of[row["caption_id"]] = window
                yield CaptionToDraw(row["position"], row["caption_id"], row["text"], spoken[row["concept"]])

    def _may_begin(self, start: int, end: int, before_window: BeforeWindow) -> bool:
        under_way = self._open or self._committing is not None
        try:
            before_window(end - self._writer.cursor if under_way else end - start)
        except ValueError:
            if under_way:
                return False
            raise
        return True

    def _commit_finished(self, committer: ThreadPoolExecutor) -> None:
        """Hand finished windows to the committing thread, in order, one at a time."""
        while self._open and self._open[0].is_finished:
            window = self._open.popleft()
            self._await_commit()
            now = time.monotonic()
            self._committing = committer.submit(self._commit, window, now - self._clock)
            self._clock = now

    def _await_commit(self) -> None:
        if self._committing is not None:
            end = self._committing.result()
            self._committing = None
            self._on_progress(end, self._total)

    def _commit(self, window: _Window, wall_seconds: float) -> int:
        groups = sorted(window.groups, key=lambda group: group.caption.position)
        provenance = asdict(self._sampler.provenance) | {"fingerprint": self._fingerprint}
        facts, encoded = _rows(self._unit, groups, provenance, self._rules.checks)
        spent = ledger_row(
            STAGE,
            self._unit,
            window.start,
            units=len(facts),
            generator=self._sampler.provenance.model,
            requests=sum(group.num_requests for group in groups),
            wall_seconds=wall_seconds,
            gpu_seconds=sum(group.sampling_seconds for group in groups) * self._sampler.num_gpus,
            size_bytes=sum(fact["size_bytes"] for fact in facts),
            prices=self._prices,
            run_id=self._run_id,
        )
        sides = {
            "image_bytes": rows_of("image_bytes", encoded),
            "quarantine": rows_of("quarantine", _quarantined(self._unit, groups)),
            "ledger": spent,
        }
        self._writer.commit(window.end, rows_of(STAGE, facts), sides)
        return window.end


def _display_texts(store: Store, unit: Unit) -> dict[str, str]:
    rows = store.tables.read("concepts", partitions=unit.partitions, columns=["concept", "display_text"])
    return dict(zip(rows["concept"].to_pylist(), rows["display_text"].to_pylist(), strict=True))


def _rows(
    unit: Unit, groups: Sequence[PositiveGroup], provenance: dict[str, str], checks: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Facts and bytes of all groups that passed."""
    facts, encoded = [], []
    for group in groups:
        key = {
            **unit.partitions,
            "position": group.caption.position,
            "caption_id": group.caption.caption_id,
        }
        for number, view in enumerate(group.views):
            encoded.append({**key, "view": number, "encoded": view.encoded})
            facts.append(
                {
                    **key,
                    "view": number,
                    "seed": image_seed(group.caption.caption_id, number, group.reseeds[number]),
                    "reseeds": group.reseeds[number],
                    "sha256": hashlib.sha256(view.encoded).hexdigest(),
                    "size_bytes": len(view.encoded),
                    "width": view.width,
                    "height": view.height,
                    "perceptual_hash": view.perceptual_hash,
                    "checks_passed": list(checks),
                    **provenance,
                }
            )
    return facts, encoded


def _quarantined(unit: Unit, groups: Sequence[PositiveGroup]) -> list[dict[str, Any]]:
    return [
        {
            **unit.partitions,
            "stage": STAGE,
            "position": group.caption.position,
            "caption_id": group.caption.caption_id,
            "reason": group.reason,
            "detail": group.caption.text[:200],
            "attempts": max(group.reseeds) + 1,
        }
        for group in groups
        if group.reason is not None
    ]
