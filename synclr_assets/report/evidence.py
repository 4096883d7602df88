"""What training and evaluation left in a model's folder: curves, confusion counts, pictures.

A file that is not there is None, so that the page can say so; a file that is broken is an error.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synclr_assets.report.curves import loss_curve
from synclr_assets.store.store import Store

EVAL_ASSETS = ("linear_probe", "segmentation")
PICTURES = {
    "confusion": "Confusion of the classes",
    "pca": "Patch features: their first three principal components as red, green and blue",
    "segmentation": "Segmentation of unseen scenes: the truth, the model and the baselines",
}
"""Titles of the known pictures, by the beginning of the file's name."""


@dataclass(frozen=True)
class Picture:
    """A PNG that an evaluation left."""

    name: str
    title: str
    png: bytes


@dataclass(frozen=True)
class Confusion:
    """How an evaluation of the model mixed classes up: shares of each true class, rows are truths."""

    asset: str
    class_names: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]

    @property
    def rows(self) -> list[tuple[str, tuple[float, ...]]]:
        """True class and its shares."""
        return list(zip(self.class_names, self.shares, strict=True))


def curve_of(store: Store, model: Mapping[str, Any]) -> bytes | None:
    """The loss curve as a PNG, or None where the model has no metrics.csv."""
    key = f"{model['key']}/metrics.csv"
    if not store.blobs.exists(key):
        return None
    result = _json(store, f"{model['key']}/result.json") or {}
    with tempfile.TemporaryDirectory(prefix="synclr-report-") as folder:
        return loss_curve(store.blobs.fetch(key, Path(folder)), result.get("chance_loss"))


def confusion_of(store: Store, model: Mapping[str, Any], asset: str) -> Confusion | None:
    """The evaluation's confusion shares, or None where it left none."""
    details = _json(store, f"{model['key']}/evals/{asset}/scores.json") or {}
    counts = details.get("confusion", {}).get("model")
    names = details.get("classes")
    if not counts or not names:
        return None
    shares = tuple(tuple(cell / (sum(row) or 1) for cell in row) for row in counts)
    return Confusion(asset, tuple(str(name) for name in names), shares)


def pictures_of(store: Store, model: Mapping[str, Any], asset: str) -> list[Picture]:
    """The PNG files that the evaluation left, by name."""
    names = _png_names(store, f"{model['key']}/evals/{asset}")
    return [
        Picture(
            Path(name).stem, _title(Path(name).stem), store.blobs.read(f"{model['key']}/evals/{asset}/{name}")
        )
        for name in names
    ]


def _png_names(store: Store, folder: str) -> list[str]:
    """A local folder is listed; in an object store the known names are tried."""
    if store.location.is_local:
        return sorted(path.name for path in store.location.local_path(folder).glob("*.png"))
    return [f"{stem}.png" for stem in PICTURES if store.blobs.exists(f"{folder}/{stem}.png")]


def _title(stem: str) -> str:
    known = [title for beginning, title in PICTURES.items() if stem.startswith(beginning)]
    return known[0] if known else stem.replace("_", " ")


def _json(store: Store, key: str) -> dict[str, Any] | None:
    if not store.blobs.exists(key):
        return None
    content = json.loads(store.blobs.read(key))
    assert isinstance(content, dict), key
    return content
