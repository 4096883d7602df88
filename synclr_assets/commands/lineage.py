"""`synclr lineage`: from a model back to its captions, from a caption on to its models, from anything to anything."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from rich.console import Console
from rich.table import Column, Table

from synclr_assets.commands.lineage_events import openlineage_command
from synclr_assets.commands.score_table import score_table
from synclr_assets.commands.table_files import EXPORT_OPTION, export_tables
from synclr_assets.environment import store_root
from synclr_assets.provenance.lineage import (
    CaptionLineage,
    ModelLineage,
    caption_lineage,
    captions_of_model,
    model_lineage,
    sample_captions,
)
from synclr_assets.provenance.lineage_nodes import KINDS
from synclr_assets.provenance.lineage_trace import trace
from synclr_assets.provenance.models import models
from synclr_assets.store.store import Store

ID_CHARS = 32
STORE_OPTION = click.option("--store", "root", default=None, help="Store to read; default SYNCLR_STORE.")


@click.group("lineage")
def command() -> None:
    """What a thing was made from, and what came of it."""


command.add_command(openlineage_command)


def open_store(root: str | None) -> Store:
    """The named store, else the environment's."""
    return Store(root or store_root(os.environ))


@command.command("model")
@click.argument("model_id", required=False)
@click.option("--captions", "show", type=click.IntRange(0), default=0, help="Also list this many captions.")
@EXPORT_OPTION
@STORE_OPTION
def model_command(model_id: str | None, show: int, export: Path | None, root: str | None) -> None:
    """Everything MODEL_ID (an id or its beginning) was made from; without it, the known models."""
    store = open_store(root)
    console = Console()
    if model_id is None:
        _print_models(console, store)
        return
    lineage = model_lineage(store, model_id)
    _print_model(console, lineage)
    if show:
        _print_captions(console, store, lineage.model, show)
    if export is not None:
        num_rows = export_tables(captions_of_model(store, lineage.model), export)
        if not num_rows:
            raise click.UsageError(f"Model {lineage.model['model_id']} has no captions in this store.")
        console.print(f"{num_rows} captions written to {export}")


@command.command("caption")
@click.argument("caption_id")
@STORE_OPTION
def caption_command(caption_id: str, root: str | None) -> None:
    """Where CAPTION_ID (an id or its beginning) came from, and its images, shard, models and scores."""
    _print_caption(Console(), caption_lineage(open_store(root), caption_id))


@command.command("from")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("identity", metavar="ID")
@click.option("--to", required=True, type=click.Choice(KINDS), help="What to list.")
@click.option("--show", type=click.IntRange(0), default=20, show_default=True, help="Rows to print.")
@EXPORT_OPTION
@STORE_OPTION
def from_command(kind: str, identity: str, to: str, show: int, export: Path | None, root: str | None) -> None:
    """Every thing of kind --to that ID was made from, or that was made from it.

    ID is, by KIND: concept NAME or BUCKET/NAME; caption an id or its beginning; background its text; generator
    MODEL or MODEL@REVISION; image CAPTION_ID/VIEW or a SHA-256; shard a SHA-256 or key; model an id or its
    beginning; score MODEL_ID/DATASET/METRIC.
    """
    shown: list[dict[str, Any]] = []
    num_rows = 0

    def seen() -> Iterator[pa.Table]:
        nonlocal num_rows
        for part in trace(open_store(root), kind, identity, to):
            num_rows += part.num_rows
            shown.extend(part.slice(0, max(show - len(shown), 0)).to_pylist())
            yield part

    if export is None:
        for _ in seen():
            pass
    else:
        export_tables(seen(), export)
    console = Console()
    console.print(f"{num_rows} of kind {to} from {kind} {identity}", markup=False, soft_wrap=True)
    for row in shown:
        line = "  ".join(f"{name}={value}" for name, value in row.items() if value is not None)
        console.print(f"  {line}", markup=False, soft_wrap=True, highlight=False)
    if num_rows > len(shown):
        console.print(f"  ... and {num_rows - len(shown)} more; --export FILE writes all")
    if export is not None and num_rows:
        console.print(f"{num_rows} rows written to {export}", markup=False, soft_wrap=True)


def _print_models(console: Console, store: Store) -> None:
    known = models(store)
    if not known:
        raise click.UsageError(f"No model in {store.location.uri} yet: run `synclr materialize all`.")
    table = Table(_whole_id("model"), "slice", "recipe", "steps", "recorded")
    for row in known:
        when = f"{row['created_at']:%Y-%m-%d %H:%M}"
        table.add_row(row["model_id"], row["slice"], row["recipe"], str(row["steps"]), when)
    console.print(table)


def _whole_id(name: str) -> Column:
    """A column for ids, which are never cut: they are there to be copied."""
    return Column(name, no_wrap=True, min_width=ID_CHARS)


def _print_model(console: Console, lineage: ModelLineage) -> None:
    model = lineage.model
    console.print(f"[bold]model {model['model_id']}[/bold]")
    for name in (
        "slice",
        "recipe",
        "recipe_fingerprint",
        "seed",
        "steps",
        "code_version",
        "weights_sha256",
        "device",
    ):
        console.print(f"  {name:<20}{model[name]}", soft_wrap=True)
    versions = ", ".join(f"{entry['table']} {entry['version']}" for entry in model["table_versions"])
    console.print(f"  {'table versions':<20}{versions}")
    for unit in lineage.units:
        console.print(
            f"\n[bold]{unit.unit}[/bold]: {unit.num_captions} captions, {unit.captions_read} times read"
        )
        for made, generators in (("captions", unit.captioners), ("images", unit.image_samplers)):
            for one in generators:
                by = f"{one['model']}@{one['revision']}, {one['licence']}, settings {one['fingerprint'][:12]}"
                console.print(f"  {one['rows']} {made} by {by}", markup=False, soft_wrap=True)
        for digest in unit.shard_sha256s:
            console.print(f"  shard {digest}", soft_wrap=True)
    if lineage.scores:
        console.print(score_table(lineage.scores))


def _print_captions(console: Console, store: Store, model: dict[str, Any], show: int) -> None:
    table = Table(_whole_id("caption"), "concept", "template", "text", "epochs")
    for row in sample_captions(store, model, show):
        table.add_row(row["caption_id"], row["concept"], row["template"], row["text"], f"{row['epochs']:.2f}")
    console.print(table)


def _print_caption(console: Console, lineage: CaptionLineage) -> None:
    caption = lineage.caption
    console.print(f"[bold]caption {caption['caption_id']}[/bold]")
    for name in ("text", "concept", "bucket", "generation", "template", "relation", "background"):
        if caption.get(name) is not None:
            console.print(f"  {name:<20}{caption[name]}", markup=False)
    if "model" in caption:
        written = f"{caption['model']}@{caption['revision']}, {caption['licence']}"
        console.print(f"  {'written by':<20}{written}, {caption['attempts']} attempts", markup=False)
    if lineage.quarantine is not None:
        lost = lineage.quarantine
        console.print(
            f"  {'quarantined at':<20}{lost['stage']}: {lost['reason']} ({lost['detail']})", markup=False
        )
    if lineage.images:
        for image in lineage.images:
            drawn = (
                f"seed {image['seed']} after {image['reseeds']} reseeds, {image['model']}@{image['revision']}"
            )
            size = f"{image['width']}x{image['height']}, {image['size_bytes']} bytes, sha256 {image['sha256'][:16]}"
            console.print(
                f"  image {image['view']}             {size}, {drawn}", markup=False, soft_wrap=True
            )
    if lineage.shard is not None:
        place = f"{lineage.shard['key']} at byte {lineage.shard['offset_bytes']}"
        console.print(f"  {'shard':<20}{place}, sha256 {lineage.shard['sha256'][:16]}", soft_wrap=True)
    for model in lineage.models:
        console.print(
            f"model {model['model_id']} ({model['recipe']}, {model['epochs']:.1f} epochs of the shard)"
        )
        for score in model["scores"]:
            if not score["is_baseline"]:
                console.print(f"  {score['dataset']} {score['metric']}: {score['value']:.3f}")
    if not lineage.models:
        console.print("No recorded model read it.")
