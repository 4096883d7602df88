"""The paper's ImageNet probe: linear classifiers by SGD at nine learning rates in one pass (SynCLR App. B).

The rate is chosen on the held-out part of train (or the validation part); scored rows choose nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from synclr_train.backbone import Encoder
from synclr_train.evals.augmented_batches import augmented_batches, crop_and_flip, epoch_order
from synclr_train.evals.confusion import by_name, confusion_matrix, recalls
from synclr_train.evals.datasets import load_dataset
from synclr_train.evals.feature_cache import cached_features
from synclr_train.evals.features import normalise, represent_batches
from synclr_train.evals.labelled_images import LabelledImages, centre_square
from synclr_train.evals.measures import bootstrap, score_of
from synclr_train.evals.outcomes import outcomes_of, write_outcomes
from synclr_train.evals.protocol import SgdProtocol, Split
from synclr_train.evals.scores import EvaluationError, Score, write_arrays, write_scores
from synclr_train.evals.sgd_classifiers import SgdClassifiers
from synclr_train.evals.subjects import MODEL, OnEvent, Subject, load_subjects

PREDICTION_ROWS = 128


@dataclass(frozen=True)
class SgdProbe:
    """Predicted class of every score row by the chosen rate, and the score of each rate on the choose rows."""

    predictions: Int[np.ndarray, " n"]
    base_learning_rate: float
    sweep: list[tuple[float, float]]


def run_sgd_probe(
    encoder_dir: Path,
    out_dir: Path,
    *,
    dataset: str,
    split: Split = "test",
    baselines: Sequence[str] = (),
    settings: SgdProtocol | None = None,
    num_workers: int = 0,
    cache_dir: Path | None = None,
    on_event: OnEvent | None = None,
) -> list[Score]:
    """Probes the encoder in `encoder_dir`, and baselines if asked, on `dataset`; returns every score.

    `settings` replaces the paper's numbers (its data set fields are filled in here). Writes `scores.json`,
    `predictions.npz` and the model's outcomes into `out_dir`. Raises ValueError for a user's mistake, before it
    writes anything.
    """
    images = load_dataset(dataset)
    if images.is_multi_label:
        raise EvaluationError(f"{images.name} shows several classes an image: probe it without SGD")
    paper = SgdProtocol(dataset=images.name, dataset_digest=images.digest, split=split)
    own = {"dataset": images.name, "dataset_digest": images.digest, "split": split}
    protocol = paper if settings is None else settings.model_copy(update=own)
    if "raw_pixels" in baselines:
        raise EvaluationError("baseline raw_pixels has no encoder to train on: leave it out of an SGD probe")
    _, subjects = load_subjects(
        encoder_dir, baselines, num_random_encoders=protocol.num_random_encoders, seed=protocol.seed
    )
    labels = images.labels[images.roles(split).score]
    scores, chosen, confusion, arrays = [], {}, {}, {"labels": labels}
    for subject in subjects:
        probes = [
            probe_by_sgd(encoder, images, protocol, num_workers, cache_dir, on_event)
            for encoder in subject.encoders
        ]
        predictions = np.stack([probe.predictions for probe in probes])
        scores.append(_score(subject, predictions, labels, images, protocol))
        chosen[subject.name] = [
            {"base_learning_rate": probe.base_learning_rate, "sweep": probe.sweep} for probe in probes
        ]
        counts = [confusion_matrix(labels, one, len(images.class_names)) for one in predictions]
        confusion[subject.name] = np.mean(counts, axis=0).tolist()
        arrays[f"{subject.name}.{scores[-1].metric}"] = predictions.astype(np.int32)
        if on_event is not None:
            on_event(
                {
                    "event": "scored",
                    "subject": subject.name,
                    "dataset": images.name,
                    "metric": scores[-1].metric,
                    "value": scores[-1].value,
                }
            )
    out_dir.mkdir(parents=True, exist_ok=True)
    write_arrays(out_dir / "predictions.npz", arrays)
    metric = scores[0].metric
    answers = arrays[f"{MODEL}.{metric}"].astype(np.int64)
    outcomes = outcomes_of(images.measure, answers, labels, len(images.class_names))
    write_outcomes(out_dir, protocol.fingerprint, {metric: outcomes})
    write_scores(
        out_dir,
        scores,
        protocol=protocol.model_dump(mode="json"),
        classes=images.class_names,
        chosen=chosen,
        confusion=confusion,
    )
    return scores


def probe_by_sgd(
    encoder: Encoder,
    images: LabelledImages,
    protocol: SgdProtocol,
    num_workers: int = 0,
    cache_dir: Path | None = None,
    on_event: OnEvent | None = None,
) -> SgdProbe:
    """Trains every learning rate on the fit rows at once. Among equally good rates the smallest wins."""
    roles = images.roles(protocol.split)
    batch_size = min(protocol.batch_size, len(roles.fit))
    num_steps = protocol.epochs * (len(roles.fit) // batch_size)
    classifiers = SgdClassifiers(
        encoder.embed_dim,
        len(images.class_names),
        [rate * batch_size / 256 for rate in protocol.base_learning_rates],
        num_steps=num_steps,
        momentum=protocol.momentum,
        batch_norm=protocol.batch_norm,
        generator=torch.Generator().manual_seed(protocol.seed),
    ).to(next(encoder.parameters()).device)
    kept = None
    if not protocol.augmented:
        kept = _fit_features(encoder, images, roles.fit, cache_dir, on_event)
    for epoch in range(protocol.epochs):
        batches = (
            _encoded(encoder, images, roles.fit, protocol, batch_size, epoch, num_workers)
            if kept is None
            else feature_batches(kept, images.labels[roles.fit], batch_size, protocol.seed, epoch)
        )
        for features, labels in batches:
            losses = classifiers.train_batch(
                features.to(classifiers.rates), labels.to(classifiers.rates.device)
            )
        if on_event is not None:
            on_event({"event": "epoch", "epoch": epoch + 1, "lowest_loss": float(losses.min())})
    tried = classifiers.predict(_scored(encoder, images, roles.choose, protocol)).numpy()
    outcomes = (tried == images.labels[roles.choose]).astype(np.float64)
    sweep = [score_of(images.measure, one[None], images.labels[roles.choose]) for one in outcomes]
    best = sweep.index(max(sweep))
    predictions = classifiers.predict(_scored(encoder, images, roles.score, protocol))[best].numpy()
    rates = protocol.base_learning_rates
    return SgdProbe(predictions, rates[best], list(zip(rates, sweep, strict=True)))


def feature_batches(
    features: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], batch_size: int, seed: int, epoch: int
) -> Iterator[tuple[Float[Tensor, "b d"], Int[Tensor, " b"]]]:
    """All whole batches of one epoch over features, which may be mapped from a file."""
    order = epoch_order(np.arange(len(labels)), seed, epoch)
    for start in range(0, len(order) - batch_size + 1, batch_size):
        rows = np.sort(order[start : start + batch_size])
        yield torch.tensor(features[rows]), torch.tensor(labels[rows])


def _fit_features(
    encoder: Encoder,
    images: LabelledImages,
    rows: np.ndarray,
    cache_dir: Path | None,
    on_event: OnEvent | None,
) -> Float[np.ndarray, "n d"]:
    batches = represent_batches(encoder, images, rows)
    if cache_dir is not None:
        return cached_features(cache_dir, encoder, images, rows, batches, on_event=on_event)
    return torch.cat([batch.cpu() for batch in batches]).numpy()


def _encoded(
    encoder: Encoder,
    images: LabelledImages,
    rows: np.ndarray,
    protocol: SgdProtocol,
    batch_size: int,
    epoch: int,
    num_workers: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    for batch, labels in augmented_batches(
        images,
        rows,
        crop_and_flip(encoder.image_size),
        batch_size=batch_size,
        seed=protocol.seed,
        epoch=epoch,
        num_workers=num_workers,
    ):
        with torch.no_grad():
            yield encoder.represent(normalise(batch, encoder)), labels


def _scored(
    encoder: Encoder, images: LabelledImages, rows: np.ndarray, protocol: SgdProtocol
) -> Iterator[Float[Tensor, "b d"]]:
    shorter_side = round(encoder.image_size * protocol.shorter_side_share)
    for start in range(0, len(rows), PREDICTION_ROWS):
        squares = [
            centre_square(images.open_image(int(row)), encoder.image_size, shorter_side=shorter_side)
            for row in rows[start : start + PREDICTION_ROWS]
        ]
        with torch.no_grad():
            yield encoder.represent(normalise(torch.stack(squares), encoder)).float()


def _score(
    subject: Subject,
    predictions: Int[np.ndarray, "repeats n"],
    labels: Int[np.ndarray, " n"],
    images: LabelledImages,
    protocol: SgdProtocol,
) -> Score:
    outcomes = (predictions == labels).astype(np.float64)

    def score(image_counts: np.ndarray, repeat_counts: np.ndarray) -> float:
        return score_of(images.measure, outcomes, labels, image_counts, repeat_counts)

    low, high = bootstrap(len(labels), len(predictions), score, seed=protocol.seed)
    counts = [confusion_matrix(labels, one, len(images.class_names)) for one in predictions]
    return Score(
        subject=subject.name,
        dataset=protocol.dataset,
        metric=f"{protocol.name}_{images.measure}",
        value=score(np.ones(len(labels)), np.ones(len(predictions))),
        ci_low=low,
        ci_high=high,
        num_test=len(labels),
        split=protocol.split,
        protocol=protocol.name,
        protocol_fingerprint=protocol.fingerprint,
        per_class=by_name(recalls(np.mean(counts, axis=0)), images.class_names),
    )
