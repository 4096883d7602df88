"""The demo as a plain script: the calls that the assets make, one after another, and `synclr-train` for the model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.environment import store_root
from synclr_assets.launch.tasks import EvalTask, FitTask, ProbeTask
from synclr_assets.launch.training import evaluate, fetch_encoder, plan_training, train
from synclr_assets.profiles import rehearsal
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.stages import captions, concepts, enriched_captions, images, shards
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.backgrounds import make_background_writer
from synclr_assets.synthesis.captioners import make_captioner
from synclr_assets.synthesis.image_samplers import make_image_sampler
from synclr_train.recipes import get_recipe

SLICE = "all"


class PlainDemo:
    """The stages of every bucket, then checkpoint, probe and segmentation, under this process's environment."""

    def __init__(self) -> None:
        self._profile = rehearsal()
        self._store = Store(store_root(os.environ))
        self._buckets = read_bank(concept_folder(os.environ)).buckets
        self._captioner = make_captioner(self._profile.captioner)
        self._prompts = self._profile.captioner.prompts()
        self._writer = make_background_writer(self._profile.background_writer)
        self._sampler = make_image_sampler(self._profile.image_sampler)

    def make_datasets(self) -> None:
        """The five stages of each bucket."""
        store, section = self._store, self._profile.dataset
        drafting = captions.CaptionSettings(captions_per_commit=section.captions_per_commit)
        enrichment = enriched_captions.EnrichmentSettings(captions_per_commit=section.captions_per_commit)
        drawing = images.ImageSettings(captions_per_commit=section.image_captions_per_commit)
        packing = shards.ShardSettings(captions_per_shard=section.captions_per_shard)
        for name, bucket in self._buckets.items():
            unit = Unit(name, 0)
            concepts.write_concepts(store, bucket, None)
            captions.write_captions(store, unit, self._captioner, self._prompts, drafting)
            enriched_captions.write_enriched_captions(
                store, unit, self._captioner, self._writer, self._prompts, enrichment
            )
            images.write_images(store, unit, self._sampler, drawing)
            shards.write_shards(store, unit, packing)

    def make_model(self, steps: int | None) -> None:
        """Training and both evaluations, each a process, as in a run of Dagster."""
        section = self._profile.trainer
        recipe = get_recipe(section.recipe)
        training = plan_training(
            training_inputs(self._store, SLICE, list(self._buckets)),
            recipe if steps is None else recipe.with_steps(steps),
        )
        model = train(self._store, training, run_command)
        encoder = fetch_encoder(self._store, model)
        probe = ProbeTask(
            encoder_dir=str(encoder),
            out_dir=str(encoder / "evals" / "linear_probe"),
            datasets=section.probe_datasets,
            split="test",
            baselines=(),
        )
        segmentation = EvalTask(
            kind="segmentation",
            encoder_dir=str(encoder),
            out_dir=str(encoder / "evals" / "segmentation"),
            dataset=section.segmentation_dataset,
            head=section.segmentation_head,
            split="test",
            baselines=(),
        )
        for task in (probe, segmentation):
            evaluate(self._store, model, task, run_command)


def run_command(task: FitTask | ProbeTask | EvalTask) -> None:
    """The task by `synclr-train`, whose baselines are those of the demo. Raises CalledProcessError."""
    program = str(Path(sys.executable).with_name("synclr-train"))
    subprocess.run([program, *_arguments(task)], check=True, stdout=subprocess.DEVNULL)


def _arguments(task: FitTask | ProbeTask | EvalTask) -> list[str]:
    if isinstance(task, FitTask):
        recipe = task.recipe
        shards_read = [f"--shards={path}" for path in task.shards]
        return [
            "fit",
            f"--recipe={recipe['name']}",
            *shards_read,
            f"--out={task.out_dir}",
            f"--seed={task.seed}",
            f"--steps={recipe['steps']}",
        ]
    command, datasets = (
        ("probe", task.datasets) if isinstance(task, ProbeTask) else ("segment", (task.dataset,))
    )
    asked = [f"--dataset={dataset}" for dataset in datasets]
    return [
        command,
        f"--weights={task.encoder_dir}",
        *asked,
        f"--split={task.split}",
        f"--out={task.out_dir}",
    ]
