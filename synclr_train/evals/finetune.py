"""Fine-tuning: the whole network trained on labelled images with a new last layer, on one device (table 14).

A killed run continues at its last whole epoch and ends with the same weights. Nothing is chosen, so the
validation part is trained on when the test part is scored.
"""

import hashlib
import json
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from jaxtyping import Int
from PIL import Image
from safetensors.torch import load_file, save
from timm.data.mixup import Mixup
from timm.data.transforms_factory import create_transform
from timm.loss.cross_entropy import SoftTargetCrossEntropy
from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]  # public, but not re-exported
from torch import Tensor, nn

from synclr_train.atomic_files import replacing, write_atomically
from synclr_train.backbone import CONFIG_FILE, WEIGHTS_FILE, load_encoder
from synclr_train.evals.augmented_batches import Augment, augmented_batches
from synclr_train.evals.confusion import by_name, confusion_matrix, recalls
from synclr_train.evals.datasets import load_dataset
from synclr_train.evals.finetune_recipes import FinetuneProtocol, FinetuneRecipe
from synclr_train.evals.labelled_images import LabelledImages, centre_square
from synclr_train.evals.measures import bootstrap, score_of
from synclr_train.evals.outcomes import outcomes_of, write_outcomes
from synclr_train.evals.protocol import Split
from synclr_train.evals.scores import EvaluationError, Score, write_scores
from synclr_train.evals.subjects import MODEL, OnEvent

RESUME_FILE = "finetune.pt"
FINETUNED_FILE = "finetuned.safetensors"
HEAD_DEVIATION = 2e-5
"""Standard deviation of the new last layer."""
PREDICTION_ROWS = 64


def run_finetune(
    encoder_dir: Path,
    out_dir: Path,
    *,
    dataset: str,
    recipe: FinetuneRecipe,
    split: Split = "test",
    num_workers: int = 0,
    on_event: OnEvent | None = None,
) -> list[Score]:
    """Fine-tunes the encoder in `encoder_dir` on `dataset`; returns the scores of the weights and their average.

    Writes `scores.json`, the outcomes and `finetuned.safetensors` (the last weights) into `out_dir`, and after
    every epoch a resume point. Raises ValueError for a user's mistake, or where `out_dir` holds another run.
    """
    images = load_dataset(dataset)
    if images.is_multi_label:
        raise EvaluationError(
            f"{images.name} shows several classes an image, which fine-tuning does not learn"
        )
    if recipe.batch_size % 2:
        raise EvaluationError(f"batch_size must be even for mixup, not {recipe.batch_size}")
    protocol = FinetuneProtocol(dataset=images.name, dataset_digest=images.digest, split=split, recipe=recipe)
    roles = images.roles(split)
    rows = np.concatenate([roles.fit, roles.choose])
    if len(rows) < recipe.batch_size:
        raise EvaluationError(
            f"{images.name} has {len(rows)} images to train on, fewer than a batch of {recipe.batch_size}: "
            "use a smaller batch_size"
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = load_encoder(encoder_dir)
    model = classifier_of(encoder_dir, len(images.class_names), recipe).to(device)
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(parameter_groups(model, recipe), betas=(0.9, 0.999))
    out_dir.mkdir(parents=True, exist_ok=True)
    first_epoch = _resume(out_dir, protocol, encoder_dir, model, average, optimiser)
    norm = _Norm(encoder.mean, encoder.std, device)
    for epoch in range(first_epoch, recipe.epochs):
        loss = train_epoch(
            model, average, optimiser, images, rows, recipe, epoch, encoder.image_size, norm, num_workers
        )
        _save(out_dir, protocol, encoder_dir, model, average, optimiser, epoch + 1)
        if on_event is not None:
            on_event({"event": "epoch", "epoch": epoch + 1, "lowest_loss": loss})
    labels = images.labels[roles.score]
    scores, outcomes = [], {}
    last = {name: value.detach().clone() for name, value in model.state_dict().items()}
    for metric, weights in (("finetune", last), ("finetune_average", average)):
        model.load_state_dict(weights)
        predictions = predict(model, images, roles.score, encoder.image_size, recipe.crop_share, norm)
        scores.append(_score(f"{metric}_{images.measure}", predictions, labels, images, protocol))
        outcomes[scores[-1].metric] = outcomes_of(
            images.measure, predictions[None], labels, len(images.class_names)
        )
    content = save({name: value.cpu().contiguous() for name, value in last.items()})
    write_atomically(out_dir / FINETUNED_FILE, content)
    write_outcomes(out_dir, protocol.fingerprint, outcomes)
    write_scores(out_dir, scores, protocol=protocol.model_dump(mode="json"), classes=images.class_names)
    return scores


def classifier_of(encoder_dir: Path, num_classes: int, recipe: FinetuneRecipe) -> nn.Module:
    """The exported encoder with stochastic depth and a new last layer drawn from the recipe's seed."""
    config = json.loads((encoder_dir / CONFIG_FILE).read_text(encoding="utf-8"))
    arguments = config["model_args"] | {"num_classes": num_classes, "drop_path_rate": recipe.drop_path_rate}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: nn.Module = timm.create_model(config["architecture"], **arguments)
        loaded = model.load_state_dict(load_file(encoder_dir / WEIGHTS_FILE), strict=False)
        assert set(loaded.missing_keys) == {"head.weight", "head.bias"}, loaded.missing_keys
        head = model.get_submodule("head")
        assert isinstance(head, nn.Linear)
        nn.init.trunc_normal_(head.weight, std=HEAD_DEVIATION)
        nn.init.zeros_(head.bias)
    return model


def parameter_groups(model: nn.Module, recipe: FinetuneRecipe) -> list[dict[str, Any]]:
    """Parameters by layer with `lr_scale`: 1 for the last layer, `layer_decay` less for each layer below."""
    groups: list[dict[str, Any]] = param_groups_layer_decay(
        model, weight_decay=recipe.weight_decay, layer_decay=recipe.layer_decay
    )
    return groups


def learning_rate_at(epoch: float, recipe: FinetuneRecipe) -> float:
    """Rate of the last layer after `epoch` epochs, which need not be whole."""
    peak = recipe.base_learning_rate * recipe.batch_size / 256
    if epoch < recipe.warmup_epochs:
        return peak * epoch / recipe.warmup_epochs
    done = (epoch - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
    return recipe.smallest_learning_rate + (peak - recipe.smallest_learning_rate) * 0.5 * (
        1 + math.cos(math.pi * done)
    )


def train_epoch(
    model: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    images: LabelledImages,
    rows: Int[np.ndarray, " n"],
    recipe: FinetuneRecipe,
    epoch: int,
    side: int,
    norm: "_Norm",
    num_workers: int,
) -> float:
    """One pass over `rows`; updates model, average and optimiser, and returns the mean loss."""
    model.train()
    device = norm.mean.device
    mix = Mixup(
        mixup_alpha=recipe.mixup_alpha,
        cutmix_alpha=recipe.cutmix_alpha,
        label_smoothing=recipe.label_smoothing,
        num_classes=len(images.class_names),
    )
    objective = SoftTargetCrossEntropy()
    num_steps = len(rows) // recipe.batch_size
    losses = []
    batches = augmented_batches(
        images,
        rows,
        augmentation(recipe, side, norm),
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        epoch=epoch,
        num_workers=num_workers,
    )
    for step, (batch, labels) in enumerate(batches):
        rate = learning_rate_at(epoch + step / num_steps, recipe)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["lr_scale"]
        with seeded(recipe.seed, epoch, step):
            mixed, targets = mix(batch.to(device), labels.to(device))
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                logits = model(mixed)
        loss = objective(logits.float(), targets)
        if not torch.isfinite(loss):
            raise EvaluationError(f"the loss is {float(loss)} in epoch {epoch + 1}: lower base_learning_rate")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1 - recipe.ema_decay)
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def augmentation(recipe: FinetuneRecipe, side: int, norm: "_Norm") -> Augment:
    """timm's training transform: random crop and mirror, RandAugment, normalising, random erasing."""
    transform = create_transform(
        input_size=side,
        is_training=True,
        color_jitter=0.0,
        auto_augment=recipe.rand_augment,
        interpolation="bicubic",
        re_prob=recipe.erasing_probability,
        re_mode="pixel",
        re_count=1,
        mean=tuple(norm.mean.flatten().tolist()),
        std=tuple(norm.std.flatten().tolist()),
    )

    def augment(image: Image.Image, draws: np.random.Generator) -> Tensor:
        with seeded(int(draws.integers(2**31))):
            return transform(image)

    return augment


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """The three global random states that timm draws from, set from `numbers` and put back afterwards."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def predict(
    model: nn.Module,
    images: LabelledImages,
    rows: Int[np.ndarray, " n"],
    side: int,
    crop_share: float,
    norm: "_Norm",
) -> Int[np.ndarray, " n"]:
    """The winning class of each row's centre crop."""
    model.eval()
    found = []
    for start in range(0, len(rows), PREDICTION_ROWS):
        squares = [
            centre_square(images.open_image(int(row)), side, shorter_side=int(side / crop_share))
            for row in rows[start : start + PREDICTION_ROWS]
        ]
        with torch.inference_mode():
            found.append(model(norm(torch.stack(squares))).argmax(1).cpu())
    return torch.cat(found).numpy()


class _Norm:
    """The encoder's own mean and deviation, on its device."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self.mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        return (images.to(self.mean.device) - self.mean) / self.std


def _identity(protocol: FinetuneProtocol, encoder_dir: Path) -> str:
    """What a run is made of: protocol and starting weights, wherever they lie."""
    with (encoder_dir / WEIGHTS_FILE).open("rb") as file:
        return f"{protocol.fingerprint} {hashlib.file_digest(file, 'sha256').hexdigest()}"


def _save(
    out_dir: Path,
    protocol: FinetuneProtocol,
    encoder_dir: Path,
    model: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    num_epochs: int,
) -> None:
    content = {
        "identity": _identity(protocol, encoder_dir),
        "num_epochs": num_epochs,
        "model": model.state_dict(),
        "average": average,
        "optimiser": optimiser.state_dict(),
    }
    with replacing(out_dir / RESUME_FILE) as file:
        torch.save(content, file)


def _resume(
    out_dir: Path,
    protocol: FinetuneProtocol,
    encoder_dir: Path,
    model: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> int:
    """Epochs done before, their state loaded; 0 where there is no resume point."""
    path = out_dir / RESUME_FILE
    if not path.exists():
        return 0
    content = torch.load(path, map_location=next(model.parameters()).device, weights_only=True)
    if content["identity"] != _identity(protocol, encoder_dir):
        raise EvaluationError(f"{path} belongs to another encoder, data set or recipe: name another folder")
    model.load_state_dict(content["model"])
    average.update(content["average"])
    optimiser.load_state_dict(content["optimiser"])
    return int(content["num_epochs"])


def _score(
    metric: str,
    predictions: Int[np.ndarray, " n"],
    labels: Int[np.ndarray, " n"],
    images: LabelledImages,
    protocol: FinetuneProtocol,
) -> Score:
    outcomes = (predictions == labels).astype(np.float64)[None]

    def score(image_counts: np.ndarray, repeat_counts: np.ndarray) -> float:
        return score_of(images.measure, outcomes, labels, image_counts, repeat_counts)

    low, high = bootstrap(len(labels), 1, score, seed=protocol.seed)
    counts = confusion_matrix(labels, predictions, len(images.class_names))
    return Score(
        subject=MODEL,
        dataset=protocol.dataset,
        metric=metric,
        value=score(np.ones(len(labels)), np.ones(1)),
        ci_low=low,
        ci_high=high,
        num_test=len(labels),
        split=protocol.split,
        protocol=protocol.name,
        protocol_fingerprint=protocol.fingerprint,
        per_class=by_name(recalls(counts), images.class_names),
    )
