"""`fit`: from shards and a recipe to an encoder on disk. The one entry point of training.

Refuses to mix two runs in one folder; a killed run continues when `fit` is called again.
"""

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.utils.data import DataLoader

from synclr_train.atomic_files import write_atomically
from synclr_train.batches import StepBatch, StepDataset, pass_through
from synclr_train.caption_order import CaptionOrder
from synclr_train.checkpointing import load_resume_point, read_networks
from synclr_train.compiling import require_compiler
from synclr_train.concept_labels import read_concept_labels
from synclr_train.config import Recipe
from synclr_train.cropping import Cutter
from synclr_train.export import RECIPE_FILE, export_encoder
from synclr_train.group_cache import GroupCache, bytes_in
from synclr_train.losses import is_shared
from synclr_train.method import NonFiniteTermError, SynCLR
from synclr_train.metrics import TrainingEvent
from synclr_train.recorder import RunRecorder
from synclr_train.shard_files import ShardFile
from synclr_train.shards import Quarantined, ShardIndex, index_shards

RESULT_FILE = "result.json"


@dataclass(frozen=True)
class ShardConsumption:
    """What a run read from one shard."""

    captions: int
    """Captions read, repetitions counted."""
    images: int
    """Images read, repetitions counted."""
    epochs: float
    """Captions read per caption held."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run reports; also the content of result.json."""

    recipe: str
    recipe_fingerprint: str
    steps: int
    final_losses: dict[str, float]
    """Each term and the total, as the mean of the last logged steps."""
    chance_loss: float
    """The contrastive term of an encoder that cannot tell images apart: log of the number of keys (of concepts,
    when supervised)."""
    effective_rank: float
    """Of the last batch's representations; 1 means collapsed."""
    weights_sha256: str
    """SHA-256 of encoder.safetensors."""
    seconds: float
    """Wall time of training, earlier parts of a resumed run included."""
    device: str
    precision: str
    samples_per_shard: dict[str, ShardConsumption]
    """By shard file name."""
    quarantined: tuple[Quarantined, ...]
    """What was left out, with reasons."""


@dataclass(frozen=True)
class DataCache:
    """Where a run keeps what it read of its shards: their index, and images that came over a network."""

    folder: Path
    """May be shared by runs; holds nothing that cannot be read again."""
    limit_bytes: int
    """Largest size of the images kept, in bytes, over all processes of this machine."""


class SynCapsData(LightningDataModule):
    """The loader of a run, starting at any step."""

    def __init__(
        self, index: ShardIndex, recipe: Recipe, first_step: int, cache: DataCache | None = None
    ) -> None:
        super().__init__()
        self.index, self.recipe, self.first_step, self.cache = index, recipe, first_step, cache

    def train_dataloader(self) -> DataLoader[StepBatch]:
        """Whole step batches of this process, in order."""
        recipe, trainer = self.recipe, self.trainer
        assert trainer is not None
        dataset = StepDataset(
            self.index,
            CaptionOrder(self.index.num_captions, recipe.batch.captions, recipe.seed),
            Cutter(recipe.crops, recipe.augment, recipe.backbone.image_size),
            rank=trainer.global_rank,
            num_ranks=trainer.world_size,
            encoded_cache_bytes=recipe.encoded_cache_bytes,
            group_cache=self._group_cache(),
        )
        # The object store's client has threads of its own, which a forked process would lack; a fork server keeps
        # the environment, credentials included, of the moment it was first used.
        start_method = "spawn" if recipe.num_workers and self.index.is_remote else None
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=range(self.first_step, recipe.steps),
            num_workers=recipe.num_workers,
            multiprocessing_context=start_method,
            collate_fn=pass_through,  # type: ignore[arg-type]
            pin_memory=trainer.strategy.root_device.type == "cuda",
        )

    def _group_cache(self) -> GroupCache | None:
        """This process's share of the room that the cache folder has left."""
        if self.cache is None or not self.index.is_remote:
            return None
        room = max(0, self.cache.limit_bytes - bytes_in(self.cache.folder))
        num_readers = self.recipe.devices * max(1, self.recipe.num_workers)
        return GroupCache(self.cache.folder, room // num_readers)


def fit(
    recipe: Recipe,
    shards: Sequence[str | Path | ShardFile],
    out_dir: Path,
    *,
    seed: int | None = None,
    cache: DataCache | None = None,
    exclude: Collection[str] = (),
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> TrainingResult:
    """Train `recipe` on SynCaps `shards` and write the encoder, metrics and result into `out_dir`.

    `shards` are local paths or s3:// URIs. A run that was killed continues from its last resume point to the
    weights it would have had. `seed` replaces the recipe's; `cache` keeps indexes and remote images for later
    epochs and runs; captions with an id in `exclude` are never read. Raises ValueError for shards that cannot be
    used and for an `out_dir` of another run, NonFiniteLossError when a number becomes NaN. With several devices
    every process calls `fit` with the same arguments (Lightning starts them, or torchrun); the first one writes.
    """
    if seed is not None:
        recipe = recipe.varied(seed=seed)
    index = index_shards(
        shards,
        recipe.batch.views_per_caption,
        max_quarantined_share=recipe.max_quarantined_share,
        cache_dir=cache.folder if cache else None,
        exclude=exclude,
    )
    CaptionOrder(index.num_captions, recipe.batch.captions, recipe.seed)
    identity = run_identity(recipe, index)
    resumed = load_resume_point(out_dir, identity)
    out_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(out_dir / RECIPE_FILE, (recipe.model_dump_json(indent=2) + "\n").encode())
    recorder = RunRecorder(
        recipe,
        out_dir,
        run_identity=identity,
        index=index,
        resumed=resumed,
        on_event=on_event,
    )
    had_group = is_shared()
    with torch.random.fork_rng(), warnings.catch_warnings():
        _quieten_lightning()
        trainer = build_trainer(recipe, recorder)
        device = trainer.strategy.root_device
        if trainer.world_size > 1 and device.type == "cpu" and recipe.heads.norm == "batch":
            raise ValueError(
                f"recipe {recipe.name!r} shares BatchNorm over its devices, which CPU processes cannot do: "
                "set devices to 1"
            )
        if recipe.compiles:
            require_compiler(device)
        bfloat16 = computes_bfloat16(recipe.precision, device)
        torch.manual_seed(recipe.seed)
        module = SynCLR(
            recipe,
            uses_bfloat16=bfloat16,
            explicit_attention=bfloat16 and device.type == "cpu",
            concepts=read_concept_labels(index) if recipe.objective == "supervised" else None,
        )
        if resumed is not None:
            module.load_state_dict(resumed.networks)
            module.optimiser_state = resumed.optimiser
        first_step = resumed.step if resumed else 0
        if first_step < recipe.steps:
            try:
                trainer.fit(module, datamodule=SynCapsData(index, recipe, first_step, cache))
            except NonFiniteTermError as error:
                raise recorder.non_finite(error.term, error.step) from error
    result = _finish(recipe, index, module, recorder, out_dir, is_writer=trainer.is_global_zero)
    if is_shared() and not had_group:
        dist.destroy_process_group()  # what this process does next is not shared, and the port is free again
    return result


def run_identity(recipe: Recipe, index: ShardIndex) -> str:
    """Hex digest of what makes two runs the same run: the recipe's settings and the captions, in order."""
    return hashlib.blake2b((recipe.run_fingerprint + index.fingerprint).encode(), digest_size=16).hexdigest()


def computes_bfloat16(precision: Literal["auto", "float32", "bfloat16"], device: torch.device) -> bool:
    """Whether networks run in bfloat16: as asked, or for `auto` where the device has instructions for it."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def build_trainer(recipe: Recipe, recorder: RunRecorder) -> Trainer:
    """Lightning's trainer with nothing of its own on disk or screen; `recorder` writes all there is.

    Under torchrun over several machines, torchrun says how many there are.
    """
    num_nodes = int(os.environ.get("GROUP_WORLD_SIZE", "1"))
    return Trainer(
        accelerator="auto",
        devices=recipe.devices,
        num_nodes=num_nodes,
        strategy=strategy_of(recipe, recipe.devices * num_nodes),
        sync_batchnorm=recipe.devices * num_nodes > 1,
        max_epochs=1,
        callbacks=[recorder],
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def strategy_of(recipe: Recipe, num_devices: int) -> str | ModelParallelStrategy:
    """Lightning's strategy; one device shares with nobody and opens no port for it."""
    if num_devices == 1:
        return "auto"
    if recipe.strategy != "fsdp":
        return recipe.strategy
    return ModelParallelStrategy(data_parallel_size=num_devices, tensor_parallel_size=1)


def chance_loss(recipe: Recipe, num_concepts: int) -> float:
    """The loss per anchor of an encoder that sees nothing: log of the number of keys, or of concepts."""
    if recipe.objective == "supervised":
        return float(np.log(num_concepts))
    return float(np.log(recipe.batch.num_images * recipe.crops.num_global - 1))


def consumption(index: ShardIndex, samples: np.ndarray) -> dict[str, ShardConsumption]:
    """What was read from each shard, given how many captions were read of each."""
    return {
        name: ShardConsumption(
            captions=int(count),
            images=int(count) * index.num_views,
            epochs=float(count) / held if held else 0.0,
        )
        for (name, held), count in zip(index.captions_per_shard().items(), samples, strict=True)
    }


def _finish(
    recipe: Recipe,
    index: ShardIndex,
    module: SynCLR,
    recorder: RunRecorder,
    out_dir: Path,
    *,
    is_writer: bool,
) -> TrainingResult:
    """Export the encoder and write result.json."""
    weights = module.exported_vit().state_dict()
    if is_writer and module.is_split:  # the last resume point holds them whole
        prefix = f"{recipe.export_network}.backbone.vit."
        networks = read_networks(out_dir)
        weights = {name: networks[prefix + name] for name in weights}
    weights_sha256 = export_encoder(weights, recipe, out_dir) if is_writer else ""
    last = recorder.table.rows[-1]
    samples, quarantined = recorder.total_samples(), recorder.all_quarantined()
    result = TrainingResult(
        recipe=recipe.name,
        recipe_fingerprint=recipe.fingerprint,
        steps=recipe.steps,
        final_losses={name: last[name] for name in last if name.startswith("loss")},
        chance_loss=chance_loss(recipe, module.num_concepts),
        effective_rank=last["effective_rank"],
        weights_sha256=weights_sha256,
        seconds=recorder.seconds,
        device=str(module.device),
        precision="bfloat16" if module.uses_bfloat16 else "float32",
        samples_per_shard=consumption(index, samples),
        quarantined=(*index.quarantined, *quarantined),
    )
    if is_writer:
        write_atomically(out_dir / RESULT_FILE, (json.dumps(asdict(result), indent=2) + "\n").encode())
    return result


def _quieten_lightning() -> None:
    """Keep Lightning's advertisements and advice about loaders out of the user's terminal."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    # Patch tokens are a view; nothing here writes into what a network returns.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
