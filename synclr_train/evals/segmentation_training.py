"""Training a segmenter, step by step, in a way that a kill at any moment costs a few minutes at most.

What happens at a step is a function of recipe, encoder, data and step alone, so a run that was resumed ends with
the weights of one that was not. One device.
"""

import csv
import hashlib
import io
import math
import os
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from synclr_train.atomic_files import replacing, write_atomically
from synclr_train.evals.scores import EvaluationError
from synclr_train.evals.segmentation_augment import training_crop
from synclr_train.evals.segmentation_datasets import IGNORED, SegmentationSet
from synclr_train.evals.segmentation_recipes import SegmentationRecipe
from synclr_train.evals.segmenter import Segmenter, parameter_groups
from synclr_train.evals.subjects import OnEvent

RESUME_FILE = "last.pt"
LOG_EVERY_STEPS = 50
CHECKPOINT_EVERY_STEPS = 500
MOST_WORKERS = 16


class CropBatches(Dataset[tuple[Tensor, Tensor]]):
    """Item `step` is that step's whole batch: images [b 3 s s] and masks [b s s]."""

    def __init__(self, data: SegmentationSet, recipe: SegmentationRecipe) -> None:
        self.data, self.recipe = data, recipe

    def __getitem__(self, step: int) -> tuple[Float[Tensor, "b 3 s s"], Int[Tensor, "b s s"]]:
        rows = rows_at(step, self.recipe.batch_size, self.data.num_train, self.recipe.seed)
        crops = [
            training_crop(
                self.data.read_train(row), self.recipe, np.random.default_rng([self.recipe.seed, step, place])
            )
            for place, row in enumerate(rows)
        ]
        return torch.stack([image for image, _ in crops]), torch.stack([mask for _, mask in crops])


def rows_at(step: int, batch_size: int, num_rows: int, seed: int) -> list[int]:
    """Images of a step: epochs follow each other without a break, each in an order of its own."""
    positions = range(step * batch_size, (step + 1) * batch_size)
    orders = {
        epoch: np.random.default_rng([seed, 1 << 32, epoch]).permutation(num_rows)
        for epoch in {position // num_rows for position in positions}
    }
    return [int(orders[position // num_rows][position % num_rows]) for position in positions]


def learning_rate_at(step: int, recipe: SegmentationRecipe) -> float:
    """Linear warm-up, then a polynomial decay that ends at 0 after the last step."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / (recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * (1 - done) ** recipe.decay_power


def segmentation_loss(
    logits: list[Float[Tensor, "b k s s"]], masks: Int[Tensor, "b s s"], auxiliary_weight: float
) -> Float[Tensor, ""]:
    """Cross-entropy, mean over pixels that are not ignored; the auxiliary head's is weighted."""
    num_counted = (masks != IGNORED).sum().clamp_min(1)
    terms = [
        nn.functional.cross_entropy(each.float(), masks, ignore_index=IGNORED, reduction="sum") / num_counted
        for each in logits
    ]
    return terms[0] + auxiliary_weight * sum(terms[1:], start=terms[0].new_zeros(()))


@dataclass
class Fitting:
    """A segmenter while it is trained, and where its resume point is kept."""

    segmenter: Segmenter
    recipe: SegmentationRecipe
    data: SegmentationSet
    folder: Path
    identity: str
    """What makes two trainings the same one; another identity in the folder is refused."""
    uses_bfloat16: bool
    checkpoint_every_steps: int

    def run(self, on_event: OnEvent | None = None) -> None:
        """Trains to the last step, from the resume point where there is one; leaves the segmenter trained.

        Raises EvaluationError for a folder of another training and for a loss that is not finite.
        """
        device = self.segmenter.mean.device
        optimiser = torch.optim.AdamW(
            parameter_groups(self.segmenter, self.recipe),
            lr=self.recipe.learning_rate,
            betas=self.recipe.betas,
        )
        first_step, rows = self._resume(optimiser)
        loss_sum, started, logged = torch.zeros((), device=device), time.perf_counter(), first_step
        self.segmenter.train()
        for step, (images, masks) in zip(
            range(first_step, self.recipe.steps), self._batches(first_step, device), strict=True
        ):
            loss_sum += self._step(step, images.to(device), masks.to(device), optimiser)
            done = step + 1
            is_due = done % self.checkpoint_every_steps == 0 or done == self.recipe.steps
            if done % LOG_EVERY_STEPS == 0 or is_due:
                loss = float(loss_sum) / (done - logged)
                if not math.isfinite(loss):
                    raise EvaluationError(
                        f"segmentation training: the loss became NaN or infinite before step {done}; lower the "
                        f"learning rate; the last resume point is in {self.folder}"
                    )
                seconds = time.perf_counter() - started
                speed = (done - logged) * self.recipe.batch_size / seconds
                rate = learning_rate_at(step, self.recipe)
                rows.append(
                    {"step": float(done), "loss": loss, "learning_rate": rate, "crops_per_second": speed}
                )
                loss_sum, started, logged = torch.zeros((), device=device), time.perf_counter(), done
                if is_due:
                    self._save(done, optimiser, rows)
                if on_event is not None:
                    on_event({"event": "trained", "step": done, "steps": self.recipe.steps, "loss": loss})
        self.segmenter.eval()

    def _step(self, step: int, images: Tensor, masks: Tensor, optimiser: torch.optim.Optimizer) -> Tensor:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(step, self.recipe) * group["scale"]
        torch.manual_seed(_seed_of(self.recipe.seed, step))  # dropout and stochastic depth of this step
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.uses_bfloat16):
            logits = self.segmenter.training_logits(images)
        loss = segmentation_loss(logits, masks, self.recipe.head.auxiliary_weight)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach()

    def _batches(self, first_step: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        num_workers = min(MOST_WORKERS, os.cpu_count() or 1) if device.type == "cuda" else 0
        loader = DataLoader(
            CropBatches(self.data, self.recipe),
            batch_size=None,
            sampler=range(first_step, self.recipe.steps),
            num_workers=num_workers,
            multiprocessing_context="fork" if num_workers else None,
            pin_memory=device.type == "cuda",
        )
        return iter(loader)

    def _save(self, step: int, optimiser: torch.optim.Optimizer, rows: list[dict[str, float]]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "identity": self.identity,
            "step": step,
            "segmenter": self.segmenter.state_dict(),
            "optimiser": optimiser.state_dict(),
            "rows": rows,
        }
        with replacing(self.folder / RESUME_FILE) as file:
            torch.save(content, file)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.8g}" for name, value in row.items()} for row in rows)
        write_atomically(self.folder / "metrics.csv", text.getvalue().encode())

    def _resume(self, optimiser: torch.optim.Optimizer) -> tuple[int, list[dict[str, float]]]:
        path = self.folder / RESUME_FILE
        if not path.is_file():
            return 0, []
        try:
            content: dict[str, Any] = torch.load(
                path, map_location=self.segmenter.mean.device, weights_only=True
            )
        except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
            raise EvaluationError(
                f"{path} is no resume point of a segmentation: delete it to begin again"
            ) from error
        if content["identity"] != self.identity:
            raise EvaluationError(
                f"{self.folder} holds the training of another encoder, data set or head: name an empty --out, or "
                "delete it"
            )
        self.segmenter.load_state_dict(content["segmenter"])
        optimiser.load_state_dict(content["optimiser"])
        return content["step"], content["rows"]


def make_segmenter(build: Callable[[], Segmenter], seed: int) -> Segmenter:
    """A segmenter whose head is drawn from `seed`; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def digest_of_weights(module: nn.Module) -> str:
    """Hex digest of every tensor of a module, by name."""
    hasher = hashlib.blake2b(digest_size=16)
    for name, tensor in module.state_dict().items():
        hasher.update(name.encode())
        hasher.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()


def _seed_of(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))
