"""Training and scoring a model of the fruit bucket in this process, as small as they go. Loads torch."""

from __future__ import annotations

from pathlib import Path

import synclr_train.evals.linear_probe
import synclr_train.evals.segmentation
import synclr_train.training
from synclr_assets.launch.tasks import EvalTask, FitTask, ProbeTask
from synclr_assets.launch.training import evaluate, fetch_encoder, plan_training, train
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.provenance.models import models
from synclr_assets.store.store import Store
from synclr_train.config import Recipe
from tests.synclr_train.conftest import tiny


def run_model_stage(store: Store, stage: str, bucket: str) -> None:
    """`checkpoint`: train on the bucket, with a resume point every 2 steps; the others score the newest model."""
    if stage == "checkpoint":
        recipe = tiny(steps=8, checkpoint_every_steps=2)
        train(store, plan_training(training_inputs(store, bucket, [bucket]), recipe), _run_here)
        return
    model = models(store, bucket)[0]
    encoder = fetch_encoder(store, model)
    out_dir = str(encoder / "evals" / stage)
    task: ProbeTask | EvalTask
    if stage == "linear_probe":
        task = ProbeTask(
            encoder_dir=str(encoder),
            out_dir=out_dir,
            datasets=("sklearn_digits",),
            split="validation",
            baselines=(),
        )
    else:
        task = EvalTask(
            kind="segmentation",
            encoder_dir=str(encoder),
            out_dir=out_dir,
            dataset="digits_on_photos",
            split="validation",
            baselines=(),
        )
    evaluate(store, model, task, _run_here)


def _run_here(task: FitTask | ProbeTask | EvalTask) -> None:
    if isinstance(task, FitTask):
        recipe, shards = Recipe.model_validate(task.recipe), [Path(shard) for shard in task.shards]
        synclr_train.training.fit(recipe, shards, Path(task.out_dir), seed=task.seed)
        return
    out_dir, encoder = Path(task.out_dir), Path(task.encoder_dir)
    if isinstance(task, EvalTask):
        synclr_train.evals.segmentation.run_segmentation(
            encoder, out_dir, dataset=task.dataset, split=task.split, baselines=task.baselines
        )
        return
    synclr_train.evals.linear_probe.run_linear_probe(
        encoder,
        out_dir,
        datasets=task.datasets,
        split=task.split,
        baselines=task.baselines,
        cache_dir=None,
        on_event=lambda message: None,
    )
