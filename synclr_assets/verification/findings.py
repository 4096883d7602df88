"""What a check found wrong: a fixed code to search and alert on, the place, one sentence. Judges nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CODES = {
    "table_unreadable": "a table's log cannot be read",
    "table_file_missing": "a data file that the table's log names is not there",
    "table_file_truncated": "a data file is not as long as the log says",
    "table_file_damaged": "a data file cannot be decoded",
    "budget_wrong": "the concepts' captions and the plan differ",
    "caption_unaccounted": "a finished position has neither a row nor a reason in quarantine",
    "caption_doubled": "a position has several rows, or a row and a reason in quarantine",
    "caption_id_wrong": "an id is not the hash of what names the caption",
    "caption_text_damaged": "a text does not match its hash",
    "group_incomplete": "a caption has not exactly its four views",
    "image_seed_wrong": "a seed is not the hash of caption, view and reseeds",
    "image_bytes_missing": "an image's bytes are not there",
    "image_bytes_damaged": "an image's bytes do not match their checksum",
    "shard_missing": "a shard's file is not there",
    "shard_damaged": "a shard's file does not match its checksum",
    "shard_members_wrong": "the index of a shard does not describe its file",
    "caption_not_packed": "a caption with images is in no shard although later ones are",
    "model_weights_missing": "a model's exported encoder is not there",
    "model_weights_damaged": "a model's exported encoder does not match its checksum",
    "model_input_unknown": "a model was trained on a shard that no table knows",
    "consumption_dangling": "rows of consumption name an unknown model, or a shard that was not its input",
    "score_dangling": "rows of evals name an unknown model",
}
"""Every fault by its code."""

NOTES = {
    "rows_beyond_cursor": "rows of a batch that was not committed: of a killed run, or of one that works now",
    "file_unlisted": "a shard's file that no committed row names: of a killed run, or of one that works now",
}
"""What is no damage: the next run of the stage removes or overwrites it, and no reader sees it."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth a note."""

    code: str
    where: str
    """Table, unit, caption, file or model."""
    sentence: str
    repair: dict[str, Any] | None = field(default=None, compare=False)
    """What `synclr_assets.verification.repair` needs to rebuild it; None where it cannot be rebuilt."""

    def __post_init__(self) -> None:
        assert self.code in CODES or self.code in NOTES, self.code

    @property
    def is_fault(self) -> bool:
        """Whether something is damaged or lost; a note is not."""
        return self.code in CODES
