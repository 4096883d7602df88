"""Resume points: everything a killed run needs to continue to the same weights.

Written whole or not at all; read with `weights_only=True`, so that a file from outside cannot run code.
"""

import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synclr_train.atomic_files import replacing
from synclr_train.shards import Quarantined

CHECKPOINT_FILE = Path("checkpoints") / "last.pt"


@dataclass(frozen=True)
class ResumePoint:
    """The state of a run after `step` steps."""

    run_identity: str
    """What the run is made of: recipe and captions. Another identity is another run."""
    step: int
    """Optimiser steps done."""
    seconds: float
    """Wall time spent so far, in seconds."""
    networks: dict[str, Any]
    """State dict of student and teacher."""
    optimiser: dict[str, Any]
    """State dict of the optimiser."""
    samples: np.ndarray
    """Per shard: captions read, over all devices."""
    quarantined: tuple[Quarantined, ...]
    """What was left out so far."""
    metrics: tuple[dict[str, float], ...]
    """The rows of metrics.csv so far."""


def save_resume_point(point: ResumePoint, out_dir: Path) -> Path:
    """Write `point` into `out_dir`, replacing the one before. Returns the file."""
    path = out_dir / CHECKPOINT_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "run_identity": point.run_identity,
        "step": point.step,
        "seconds": point.seconds,
        "networks": point.networks,
        "optimiser": point.optimiser,
        "samples": torch.from_numpy(point.samples),
        "records": json.dumps(
            {"quarantined": [asdict(each) for each in point.quarantined], "metrics": list(point.metrics)}
        ),
    }
    with replacing(path) as file:
        torch.save(content, file)
    return path


def load_resume_point(out_dir: Path, run_identity: str) -> ResumePoint | None:
    """The resume point in `out_dir`, or None when there is none.

    Raises ValueError when it belongs to another run.
    """
    path = out_dir / CHECKPOINT_FILE
    if not path.is_file():
        return None
    content = _read(path)
    if content["run_identity"] != run_identity:
        raise ValueError(
            f"{out_dir} holds a run with another recipe or other shards: name an empty --out, or delete it"
        )
    records = json.loads(content["records"])
    return ResumePoint(
        run_identity=run_identity,
        step=content["step"],
        seconds=content["seconds"],
        networks=content["networks"],
        optimiser=content["optimiser"],
        samples=content["samples"].numpy(),
        quarantined=tuple(Quarantined(**each) for each in records["quarantined"]),
        metrics=tuple(records["metrics"]),
    )


def read_networks(out_dir: Path) -> dict[str, Any]:
    """State dict of student and teacher at the resume point in `out_dir`.

    Raises ValueError when there is none.
    """
    path = out_dir / CHECKPOINT_FILE
    if not path.is_file():
        raise ValueError(
            f"{out_dir} has no resume point ({CHECKPOINT_FILE} is missing): let `fit` run longer"
        )
    networks: dict[str, Any] = _read(path)["networks"]
    return networks


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(
            f"{path} is no resume point of this trainer: delete it to start the run again"
        ) from error
    return content
