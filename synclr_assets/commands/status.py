"""`synclr status`: buckets x stages on one screen, from the logs of the tables and Dagster's runs at work."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.commands.text_tables import aligned
from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.cost.summary import Spent
from synclr_assets.cost.workload import buckets_of
from synclr_assets.operations.staleness import BucketState, bucket_states, slice_states
from synclr_assets.operations.unit_states import spent_by_unit
from synclr_assets.profiles import chosen_profile, stage_settings
from synclr_assets.report.overview import (
    BUCKET_HEADINGS,
    bucket_rows,
    generation_rows,
    slice_rows,
    summary_lines,
)
from synclr_assets.store.errors import StoreError
from synclr_assets.store.transactions import Unit

MAX_ROWS = 40
"""Buckets listed one by one; beyond, they are added up and only broken ones are listed."""
MAX_STALE_ROWS = 10


@click.command("status")
@click.argument("slice_name", metavar="[SLICE]", default="all")
@click.option("--bucket", help="All generations of one bucket.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
@STORE_OPTION
def command(slice_name: str, bucket: str | None, as_json: bool, root: str | None) -> None:
    """How far every bucket of SLICE is, what is stale, and which models are. A cell is captions done of wanted."""
    store, bank = open_store(root), read_bank(concept_folder(os.environ))
    members = buckets_of(bank, slice_name)
    if bucket is not None and bucket not in bank.buckets:
        raise StoreError(f"{bucket!r} is no bucket of {bank.folder}: it has {', '.join(bank.buckets)}.")
    everything = bucket_states(store, bank, stage_settings(chosen_profile(os.environ)))
    states = [everything[name] for name in ((bucket,) if bucket is not None else members)]
    spent, running, now = spent_by_unit(store.tables), running_stages(), datetime.now(UTC)
    slices = [
        state for name, state in slice_states(store, bank, everything).items() if slice_name in ("all", name)
    ]
    if as_json:
        document = {
            "buckets": {s.bucket: _facts(s, spent, running) for s in states},
            "slices": {s.slice_name: s.reasons for s in slices},
        }
        click.echo(json.dumps(document, indent=2))
        return
    if bucket is not None:
        rows = generation_rows(states[0], spent, now)
        lines = _table([BUCKET_HEADINGS, *rows])
        lines += [f"{bucket}: {'; '.join(states[0].reasons) or 'up to date'}"]
    elif len(states) <= MAX_ROWS:
        lines = _table([BUCKET_HEADINGS, *bucket_rows(states, spent, running, now)])
    else:
        mine = {unit: cost for unit, cost in spent.items() if unit.bucket in set(members)}
        shown = {name: stages for name, stages in running.items() if name in set(members)}
        lines = summary_lines(states, mine, shown, now)
        begun = [state for state in states if state.reasons and state.newest is not None][:MAX_STALE_ROWS]
        if begun:
            lines += ["", *_table([BUCKET_HEADINGS, *bucket_rows(begun, spent, running, now)])]
    if bucket is None and slices:
        lines += ["", *aligned([("slice", "model", "state"), *slice_rows(slices)], num_left=3)]
    click.echo("\n".join(lines))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows in columns, the last one, which is words, flush left."""
    lines = aligned([row[:-1] for row in rows])
    return [f"{line}  {row[-1]}" for line, row in zip(lines, rows, strict=True)]


def running_stages() -> dict[str, list[str]]:
    """Bucket -> stages of runs at work, as Dagster knows them; empty where there is no instance yet."""
    from synclr_assets.environment import dagster_home

    home = dagster_home(os.environ)
    if not home.exists():
        return {}
    from synclr_assets.launch.instance import open_instance  # loads Dagster, which takes a second
    from synclr_assets.launch.stuck_runs import stages_at_work

    bank = read_bank(concept_folder(os.environ))
    return stages_at_work(open_instance(home), list(bank.buckets))


def _facts(
    state: BucketState, spent: Mapping[Unit, Spent], running: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    return {
        "reasons": state.reasons,
        "running": list(running.get(state.bucket, ())),
        "generations": [
            {
                "generation": one.unit.generation,
                "allocated": one.allocated,
                "quarantined": one.num_quarantined,
                "opened_at": one.opened_at().isoformat(),
                "spent": asdict(spent[one.unit]) if one.unit in spent else None,
            }
            for one in state.generations
        ],
    }
