"""Counting what a model was made from, as captions and buckets grow: `python -m benchmarks.model_origin`.

Over the stores of `benchmarks.lineage`: what attribution counts after every evaluation, and what the report counts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.lineage import write_store
from synclr_assets.provenance.concept_reading import concepts_read
from synclr_assets.provenance.models import models
from synclr_assets.report.origin import origin_of
from synclr_assets.store.store import Store

SHAPES = ((400_000, 16), (400_000, 128), (1_600_000, 128), (1_600_000, 512))


@click.command()
def main() -> None:
    """Print seconds for each shape."""
    click.echo(f"{'captions':>10}{'buckets':>9}{'attribution s':>15}{'report s':>10}")
    for num_captions, num_buckets in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            store = write_store(Path(folder) / "store", num_captions, num_buckets)
            model = max(models(store), key=lambda one: len(one["inputs"]))
            counted = [
                _seconds(concepts_read, store, model),
                _seconds(origin_of, store, model),
            ]
        click.echo(f"{num_captions:>10}{num_buckets:>9}{counted[0]:15.2f}{counted[1]:10.2f}")


def _seconds(call: Callable[[Store, dict[str, Any]], object], store: Store, model: dict[str, Any]) -> float:
    started = time.perf_counter()
    call(store, model)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
