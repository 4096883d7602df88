"""`synclr recall`: what a bad caption, concept or generator touched, and keeping training from it."""

import json
from typing import Any

import click
import pyarrow as pa
from rich.console import Console

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.provenance.recall import Recall, apply_recall, find_affected

FIRST_IDS = 5


@click.command("recall")
@click.option("--caption", help="Recall one caption: its id or the beginning of it.")
@click.option("--concept", help="Recall a concept: NAME or BUCKET/NAME.")
@click.option("--generator", help="Recall all that a model wrote or drew: MODEL or MODEL@REVISION.")
@click.option("--bucket", help="Only within this bucket.")
@click.option(
    "--apply", "applies", is_flag=True, help="Record it: training leaves these captions out from now."
)
@click.option("--reason", help="Why; needed with --apply and kept with the record.")
@click.option("--json", "as_json", is_flag=True, help="Print every id, for machines.")
@STORE_OPTION
def command(
    caption: str | None,
    concept: str | None,
    generator: str | None,
    bucket: str | None,
    applies: bool,
    reason: str | None,
    as_json: bool,
    root: str | None,
) -> None:
    """List every image, shard, model and score that a bad caption, concept or generator affects.

    Changes nothing without --apply, and deletes nothing with it.
    """
    asked = {
        kind: name
        for kind, name in (("caption", caption), ("concept", concept), ("generator", generator))
        if name is not None
    }
    if len(asked) != 1:
        raise click.UsageError("Name one thing to recall: --caption, --concept or --generator.")
    if applies and not (reason or "").strip():
        raise click.UsageError("--apply needs --reason: say what is wrong with the data.")
    ((kind, subject),) = asked.items()
    store = open_store(root)
    recall = find_affected(store, kind, subject, bucket)
    recorded = apply_recall(store, recall, reason or "") if applies else None
    if as_json:
        click.echo(json.dumps(_as_json(recall, recorded), indent=2))
    else:
        _print(Console(), recall, recorded)


def _ids(recall: Recall) -> dict[str, list[str]]:
    images = zip(recall.images["caption_id"].to_pylist(), recall.images["view"].to_pylist(), strict=True)
    return {
        "captions": recall.caption_ids,
        "images": [f"{caption_id}/{view}" for caption_id, view in images],
        "shards": recall.shards["key"].to_pylist(),
        "models": recall.models["model_id"].to_pylist(),
        "scores": recall.scores["score"].to_pylist(),
    }


def _as_json(recall: Recall, recorded: bool | None) -> dict[str, Any]:
    return {
        "recall_id": recall.recall_id,
        "kind": recall.kind,
        "subject": recall.subject,
        "applied": recorded is not None,
        "affected": _ids(recall),
        "retrain": _rows(recall.models),
    }


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows = table.to_pylist()
    assert all(isinstance(row, dict) for row in rows)
    return list(rows)


def _print(console: Console, recall: Recall, recorded: bool | None) -> None:
    def line(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    line(f"{recall.kind} {recall.subject} affects")
    for name, ids in _ids(recall).items():
        shown = ", ".join(ids[:FIRST_IDS]) + (", ..." if len(ids) > FIRST_IDS else "")
        line(f"  {len(ids):>9} {name:<9} {shown}".rstrip())
    if recall.models.num_rows:
        line("Models to retrain:")
    for model in recall.models.to_pylist():
        line(
            f"  {model['model_id']} of slice {model['slice']} ({model['recipe']}): could read "
            f"{model['captions']} of these captions, in {model['shards']} shards"
        )
    if recorded is None:
        line("Nothing was changed: --apply --reason TEXT keeps training from these captions.")
        return
    said = "Recorded" if recorded else "Already recorded"
    line(f"{said} as recall {recall.recall_id}: training leaves these captions out; nothing was deleted.")
    for name, recipe in recall.trainings_to_repeat:
        line(f"Retrain with: synclr materialize {name} --only model --recipe {recipe}")
