"""Who is measured: the model, and the baselines that every score of it stands beside.

A subject is one or several encoders of which the mean is reported, or raw pixels, which need no encoder.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from synclr_train.backbone import Encoder, load_encoder, random_encoder_like
from synclr_train.evals.scores import EvaluationError

MODEL = "model"
RANDOM_WEIGHTS = "random_weights"
RAW_PIXELS = "raw_pixels"
BASELINES = (RANDOM_WEIGHTS, RAW_PIXELS)

OnEvent = Callable[[Mapping[str, object]], None]
"""Hears `{"event": "scored", ...}` as the evaluation goes; what it raises stops the evaluation."""


@dataclass(frozen=True)
class Subject:
    """A name and what to measure under it; no encoders at all means raw pixels."""

    name: str
    encoders: tuple[Encoder, ...]


def load_subjects(
    encoder_dir: Path, baselines: Sequence[str], *, num_random_encoders: int, seed: int
) -> tuple[Encoder, list[Subject]]:
    """The model in `encoder_dir` and the wanted baselines; ValueError for no export or unknown baseline."""
    if unknown := [name for name in baselines if name not in BASELINES]:
        raise EvaluationError(f"baseline {unknown[0]!r} is unknown: choose among {', '.join(BASELINES)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_encoder(encoder_dir).to(device)
    subjects = [Subject(MODEL, (model,))]
    if RANDOM_WEIGHTS in baselines:
        seeds = range(seed, seed + num_random_encoders)
        encoders = tuple(random_encoder_like(encoder_dir, number).to(device) for number in seeds)
        subjects.append(Subject(RANDOM_WEIGHTS, encoders))
    if RAW_PIXELS in baselines:
        subjects.append(Subject(RAW_PIXELS, ()))
    return model, subjects
