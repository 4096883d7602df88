"""What the files of a run are called, for those who look after them without torch."""

from pathlib import Path

CHECKPOINT_FOLDER = "checkpoints"
CHECKPOINT_PATTERN = "step-*.safetensors"


def latest_checkpoint(out_dir: Path) -> Path | None:
    """The newest resume point in `out_dir`, or None when there is none."""
    return max((out_dir / CHECKPOINT_FOLDER).glob(CHECKPOINT_PATTERN), default=None)
