"""One score with its interval, the fingerprint of the protocol that made it, and the file scores are kept in.

All values are fractions in [0, 1], never percent. Scores of different protocols refuse to be compared.
"""

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from synclr_train.atomic_files import write_atomically

SCORES_FILE = "scores.json"
BOOTSTRAP_RESAMPLES = 2000
_INTERVAL_PERCENT = (2.5, 97.5)


class EvaluationError(ValueError):
    """A user's mistake in asking for an evaluation, told in one sentence."""


@dataclass(frozen=True)
class Score:
    """One measured value in [0, 1] with its 95 % interval over resampled test images."""

    subject: str
    """Who was measured: `model`, or a baseline: `random_weights` (mean over its seeds), `raw_pixels`,
    `most_frequent_class`."""
    dataset: str
    metric: str
    value: float
    ci_low: float
    ci_high: float
    num_test: int
    """Images scored."""
    split: str
    """`test`, or `validation` while settings are still being chosen."""
    protocol: str
    protocol_fingerprint: str
    per_class: dict[str, float]
    """Recall (or intersection over union) of each class; a class that was not scored is left out."""


def require_comparable(scores: Sequence[Score]) -> None:
    """Raises EvaluationError unless all scores are of one metric measured under one protocol."""
    kinds = sorted(
        {f"{score.metric} under {score.protocol} {score.protocol_fingerprint}" for score in scores}
    )
    if len(kinds) > 1:
        raise EvaluationError(
            f"scores of different protocols cannot be compared ({'; '.join(kinds)}): "
            "measure them again under one protocol"
        )


def interval_around(value: float, resampled: Float[np.ndarray, " b"]) -> tuple[float, float]:
    """The central 95 % of resampled values, widened where needed to hold `value`."""
    low, high = np.percentile(resampled, _INTERVAL_PERCENT)
    return min(float(low), value), max(float(high), value)


def write_scores(
    folder: Path, scores: Sequence[Score], *, file_name: str = SCORES_FILE, **details: Any
) -> Path:
    """Writes `scores.json` in one rename, so that a reader sees all of it or nothing; returns its path."""
    document = {"scores": [dataclasses.asdict(score) for score in scores], **details}
    path = folder / file_name
    write_atomically(path, (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
    return path


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a `.npz` in one rename; no object arrays, so that nobody needs pickle to read it."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def read_scores(folder: Path) -> list[Score]:
    """The scores of a finished evaluation; raises EvaluationError where there is none."""
    path = folder / SCORES_FILE
    if not path.is_file():
        raise EvaluationError(
            f"{path} does not exist: run the evaluation that writes it, or name another folder"
        )
    return [Score(**row) for row in json.loads(path.read_text(encoding="utf-8"))["scores"]]
