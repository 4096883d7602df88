"""A training as its task says, in this process. Loads torch when it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from synclr_assets.launch.tasks import FitTask

if TYPE_CHECKING:
    from synclr_train.metrics import TrainingEvent


def fit_task(task: FitTask, on_event: Callable[[TrainingEvent], None] | None = None) -> None:
    """Train to the end; the trainer's files carry the result. Raises ValueError, NonFiniteLossError."""
    from synclr_train.config import Recipe
    from synclr_train.training import DataCache, fit

    fit(
        Recipe.model_validate(task.recipe),
        task.shards,
        Path(task.out_dir),
        seed=task.seed,
        cache=DataCache(Path(task.cache_dir), task.cache_bytes) if task.cache_dir else None,
        exclude=task.excluded(),
        on_event=on_event,
    )
