"""`synclr licences`: what models the data of a slice or of a model came from, and what their licences ask."""

import json
import os

import click

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.commands.text_tables import aligned
from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.cost.licence_terms import NOT_ADVICE, UNRESTRICTED
from synclr_assets.cost.licences import Use, licences_of, units_of_buckets, uses_of
from synclr_assets.provenance.models import find_model, units_of_model
from synclr_assets.report.formats import grouped
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store


@click.command("licences")
@click.argument("name", metavar="SLICE|MODEL", default="all")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
@STORE_OPTION
def command(name: str, as_json: bool, root: str | None) -> None:
    """What the data of a slice (latest generations) or of a trained model came from, under which terms."""
    store = open_store(root)
    uses = find_uses(store, name)
    if as_json:
        click.echo(json.dumps(_document(name, uses), indent=2))
    else:
        click.echo("\n".join(_lines(name, uses)))


def find_uses(store: Store, name: str) -> list[Use]:
    """Generators behind a slice of the bank or a recorded model. Raises StoreError where there is no data."""
    slices = read_bank(concept_folder(os.environ)).slices
    if name in slices:
        uses = uses_of(store, units_of_buckets(store, slices[name]))
        if not uses:
            raise StoreError(
                f"Slice {name} has no data in {store.location.uri}: run synclr materialize {name} first."
            )
        return uses
    return uses_of(store, units_of_model(find_model(store, name)))


def _lines(name: str, uses: list[Use]) -> list[str]:
    rows = [("stage", "model", "revision", "licence", "rows")]
    rows += [
        (use.stage, use.model, use.revision, use.recorded_licence, grouped(use.num_rows)) for use in uses
    ]
    lines = [f"What {name} came from:", *aligned(rows, num_left=4)]
    for licence, recorded in licences_of(uses):
        shown = ", ".join(recorded)
        title = shown if shown == licence.name else f"{licence.name} (recorded as {shown})"
        lines += ["", f"{title} {licence.source}".rstrip()]
        lines += [f"  - {clause}" for clause in licence.clauses or (UNRESTRICTED,)]
    return [*lines, "", NOT_ADVICE]


def _document(name: str, uses: list[Use]) -> dict[str, object]:
    return {
        "name": name,
        "uses": [
            {
                "stage": use.stage,
                "model": use.model,
                "revision": use.revision,
                "licence": use.recorded_licence,
                "known_as": use.licence.name,
                "num_rows": use.num_rows,
            }
            for use in uses
        ],
        "licences": [
            {
                "name": licence.name,
                "recorded_as": list(recorded),
                "source": licence.source,
                "clauses": list(licence.clauses),
            }
            for licence, recorded in licences_of(uses)
        ],
        "note": NOT_ADVICE,
    }
