"""`synclr export`: a recorded model as a folder to hand on, its card written from the store's tables."""

import json
from pathlib import Path
from typing import Any

import click

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.cost.licences import uses_of
from synclr_assets.launch.training import fetch_encoder
from synclr_assets.provenance.lineage import ModelLineage, model_lineage
from synclr_assets.provenance.models import recipe_of, units_of_model
from synclr_assets.store.blobs import sha256_of
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_train.model_card import CardScore, Generator, InputData, Provenance

DEPARTURE_PARTS = ("what", "paper", "here", "why")


@click.command("export")
@click.argument("model_id", metavar="MODEL")
@click.option(
    "--out",
    "out_dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write into.",
)
@STORE_OPTION
def command(model_id: str, out_dir: Path, root: str | None) -> None:
    """Write MODEL (an id or its beginning) for timm and transformers, with a model card of its provenance."""
    store = open_store(root)
    lineage = model_lineage(store, model_id)
    refusal = export_model(store, lineage, out_dir)
    click.echo(f"{out_dir}: encoder.safetensors and config.json for timm, README.md")
    click.echo(refusal or f"{out_dir / 'transformers'}: for transformers' AutoModel")


def export_model(store: Store, lineage: ModelLineage, out_dir: Path) -> str | None:
    """Write the folder; None, or one sentence that says why transformers is left out.

    Raises StoreError where the stored weights are not those that were recorded.
    """
    from synclr_train.export import publish  # loads torch

    encoder = fetch_encoder(store, lineage.model)
    found = sha256_of(encoder / "encoder.safetensors")
    if found != lineage.model["weights_sha256"]:
        raise StoreError(
            f"The weights of model {lineage.model['model_id'][:12]} have changed since they were recorded "
            f"({encoder / 'encoder.safetensors'}, sha256 {found[:12]}): restore the file or train again."
        )
    return publish(encoder, out_dir, provenance_of(store, lineage))


def provenance_of(store: Store, lineage: ModelLineage) -> Provenance:
    """What the tables know of a model, as its card says it."""
    model = lineage.model
    return Provenance(
        model_id=model["model_id"],
        slice_name=model["slice"],
        recipe_departures=[
            {part: departure[part] for part in DEPARTURE_PARTS}
            for departure in recipe_of(model)["departures"]
        ],
        facts=_facts(model),
        inputs=[
            InputData(
                bucket=unit.unit.bucket,
                generation=unit.unit.generation,
                num_captions=unit.num_captions,
                captions_read=unit.captions_read,
                shard_sha256s=unit.shard_sha256s,
            )
            for unit in lineage.units
        ],
        generators=[
            Generator(
                stage=use.stage,
                model=use.model,
                revision=use.revision,
                licence=use.recorded_licence,
                num_rows=use.num_rows,
                clauses=use.licence.clauses,
            )
            for use in uses_of(store, units_of_model(model))
        ],
        scores=[
            CardScore(
                dataset=score["dataset"],
                split=score["split"],
                metric=score["metric"],
                subject=score["subject"],
                value=score["value"],
                ci_low=score["ci_low"],
                ci_high=score["ci_high"],
                protocol=score["protocol"],
                protocol_fingerprint=score["protocol_fingerprint"],
            )
            for score in lineage.scores
        ],
    )


def _facts(model: dict[str, Any]) -> list[tuple[str, str]]:
    versions = {entry["table"]: entry["version"] for entry in model["table_versions"]}
    return [
        ("steps", str(model["steps"])),
        ("seed", str(model["seed"])),
        ("final loss", f"{model['final_loss']:.4f}"),
        ("trainer", f"synclr {model['code_version']} on {model['device']}"),
        ("recorded", model["created_at"].isoformat(timespec="seconds")),
        ("versions of tables at the start", json.dumps(versions, sort_keys=True)),
    ]
