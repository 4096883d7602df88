"""`synclr verify`: is everything in the store what its records say? Exit code 1 where it is not, for cron."""

import json
import os
import sys
import time

import click

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.cost.workload import buckets_of
from synclr_assets.store.store import Store
from synclr_assets.verification.findings import Finding
from synclr_assets.verification.repair import repair
from synclr_assets.verification.verify import Step, verify

FAULTY = 1


@click.command("verify")
@click.argument("slice_name", metavar="[SLICE]", required=False)
@click.option(
    "--quick", is_flag=True, help="Neither decode table files nor hash stored images; all else is checked."
)
@click.option(
    "--repair", "mend", is_flag=True, help="Rebuild what can be rebuilt; only while nothing writes the store."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
@STORE_OPTION
def command(slice_name: str | None, quick: bool, mend: bool, as_json: bool, root: str | None) -> None:
    """Check every checksum, count and reference of SLICE's data (left out: of the whole store) and of all models.

    Exit code 0: all is as recorded. 1: something is damaged, lost or could not be checked. Notes are no faults.
    """
    store = open_store(root)
    buckets = None
    if slice_name is not None:
        buckets = buckets_of(read_bank(concept_folder(os.environ)), slice_name)
    started = time.monotonic()
    steps = []
    for step in verify(store, buckets=buckets, deep=not quick):
        steps.append(step)
        _show_progress(step)
        if not as_json:
            for line in _lines(step):
                click.echo(line)
    faults = [one for step in steps for one in step.findings if one.is_fault]
    unmended = _mended(store, faults, quiet=as_json) if mend else faults
    skipped = sum(bool(step.skipped) for step in steps)
    if as_json:
        click.echo(json.dumps(_document(steps, faults, unmended), indent=2))
    else:
        outcome = f"{len(faults)} faults" + (f", {len(faults) - len(unmended)} mended" if mend else "")
        left_out = f", {skipped} not checked" if skipped else ""
        click.echo(f"{len(steps)} steps, {outcome}{left_out}, {time.monotonic() - started:.1f} s")
    if unmended or skipped:
        sys.exit(FAULTY)


def _show_progress(step: Step) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{step.done}/{step.total} {step.name}\x1b[K", nl=step.done == step.total, err=True)


def _lines(step: Step) -> list[str]:
    lines = [f"{'FAULT' if one.is_fault else 'note'}  {one.code}: {one.sentence}" for one in step.findings]
    if step.skipped:
        lines.append(f"SKIPPED  {step.name}: it needs {', '.join(step.skipped)}.")
    return lines


def _mended(store: Store, faults: list[Finding], *, quiet: bool) -> list[Finding]:
    """Mend what can be; the faults that stay."""
    outcomes = {id(finding): why for finding, why in repair(store, faults)}
    left = []
    for fault in faults:
        mended = id(fault) in outcomes and outcomes[id(fault)] is None
        if not mended:
            left.append(fault)
        if not quiet:
            why = outcomes.get(id(fault)) or "no second copy of it exists in the store"
            click.echo(f"MENDED  {fault.where}" if mended else f"LEFT  {fault.where}: {why}")
    return left


def _document(steps: list[Step], faults: list[Finding], unmended: list[Finding]) -> dict[str, object]:
    def told(findings: list[Finding]) -> list[dict[str, str]]:
        return [{"code": one.code, "where": one.where, "sentence": one.sentence} for one in findings]

    return {
        "steps": len(steps),
        "not_checked": [step.name for step in steps if step.skipped],
        "faults": told(faults),
        "unmended": told(unmended),
        "notes": told([one for step in steps for one in step.findings if not one.is_fault]),
    }
