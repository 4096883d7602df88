"""Resume points: everything a killed run needs to continue to the same weights.

One safetensors file per resume point, its records as JSON in the header: nothing here can run code when it is
read. Written whole or not at all, the newest few kept.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from synclr_train.atomic_files import replacing
from synclr_train.run_files import CHECKPOINT_FOLDER, CHECKPOINT_PATTERN, latest_checkpoint
from synclr_train.shards import Quarantined

NETWORKS, OPTIMISER, SAMPLES, RECORDS = "networks.", "optimiser.", "samples", "records"


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


def save_resume_point(point: ResumePoint, out_dir: Path, *, num_kept: int) -> Path:
    """Write `point` into `out_dir`, then drop all but the newest `num_kept`. Returns the file."""
    path = out_dir / CHECKPOINT_FOLDER / f"step-{point.step:012d}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"{NETWORKS}{name}": tensor for name, tensor in point.networks.items()}
    for number, state in point.optimiser["state"].items():
        tensors |= {f"{OPTIMISER}{number}.{name}": tensor for name, tensor in state.items()}
    tensors[SAMPLES] = torch.from_numpy(point.samples)
    records = {
        "run_identity": point.run_identity,
        "step": point.step,
        "seconds": point.seconds,
        "parameter_groups": point.optimiser["param_groups"],
        "quarantined": [asdict(each) for each in point.quarantined],
        "metrics": list(point.metrics),
    }
    with replacing(path) as file:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            file.name,
            metadata={RECORDS: json.dumps(records)},
        )
    for old in sorted(path.parent.glob(CHECKPOINT_PATTERN))[:-num_kept]:
        old.unlink()
    return path


def load_resume_point(out_dir: Path, run_identity: str) -> ResumePoint | None:
    """The newest resume point in `out_dir`, or None when there is none.

    Raises ValueError when it belongs to another run, or cannot be read.
    """
    path = latest_checkpoint(out_dir)
    if path is None:
        return None
    tensors, records = _read(path)
    if records["run_identity"] != run_identity:
        raise ValueError(
            f"{out_dir} holds a run with another recipe or other shards: name an empty --out, or delete it"
        )
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _below(OPTIMISER, tensors).items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = tensor
    return ResumePoint(
        run_identity=run_identity,
        step=records["step"],
        seconds=records["seconds"],
        networks=_below(NETWORKS, tensors),
        optimiser={"state": state, "param_groups": records["parameter_groups"]},
        samples=tensors[SAMPLES].numpy(),
        quarantined=tuple(Quarantined(**each) for each in records["quarantined"]),
        metrics=tuple(records["metrics"]),
    )


def read_networks(out_dir: Path) -> dict[str, Any]:
    """State dict of student and teacher at the newest resume point in `out_dir`.

    Raises ValueError when there is none, or it cannot be read.
    """
    path = latest_checkpoint(out_dir)
    if path is None:
        raise ValueError(
            f"{out_dir} has no resume point ({CHECKPOINT_FOLDER}/{CHECKPOINT_PATTERN}): let `fit` run longer"
        )
    return _below(NETWORKS, _read(path)[0])


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            records: dict[str, Any] = json.loads(file.metadata()[RECORDS])
    except (SafetensorError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is no resume point of this trainer: delete it to continue from the one before"
        ) from error
    return tensors, records
