"""Models of a few steps, trained in this process on the shards of a real small store."""

from __future__ import annotations

from typing import Any

from synclr_assets.launch.fitting import fit_task
from synclr_assets.launch.tasks import EvalTask, FitTask, ProbeTask
from synclr_assets.launch.training import plan_training, train
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.provenance.scores import record_scores
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_train.config import Recipe
from tests.synclr_train.conftest import tiny

UNITS = (Unit("fruit", 0), Unit("patterns", 0))
BUCKETS = [unit.bucket for unit in UNITS]


def few_steps() -> Recipe:
    """A recipe for the small store's 4 views of 32 px that reads about every caption once."""
    return tiny(steps=4, checkpoint_every_steps=4)


def run_here(task: FitTask | ProbeTask | EvalTask) -> None:
    """What the training child does, without a child."""
    assert isinstance(task, FitTask)
    fit_task(task)


def train_slice(store: Store, slice_name: str = "everything", buckets: list[str] = BUCKETS) -> dict[str, Any]:
    """The recorded model of the slice as it is now."""
    return train(store, plan_training(training_inputs(store, slice_name, buckets), few_steps()), run_here)


def score_of(store: Store, model: dict[str, Any], value: float = 0.9) -> None:
    """One score of the model, as an evaluation records it."""
    score = {
        "subject": "model",
        "dataset": "sklearn_digits",
        "metric": "linear_probe_accuracy",
        "value": value,
        "ci_low": value,
        "ci_high": value,
        "num_test": 100,
        "split": "test",
        "protocol": "linear_probe",
        "protocol_fingerprint": "feedface",
        "per_class": {"0": value},
    }
    record_scores(store, model["model_id"], "linear_probe", [score])
