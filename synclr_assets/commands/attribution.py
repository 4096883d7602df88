"""`synclr attribution`: which concept buckets a score rests on, and the sampling weights it would propose."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.commands.text_tables import aligned
from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.concept_bank.init.folder import check_folder, write_bank
from synclr_assets.concept_bank.init.plan import PlannedBank
from synclr_assets.provenance.attribution import Attribution, attribute, proposed_buckets
from synclr_assets.provenance.class_concepts import read_class_map
from synclr_assets.provenance.models import find_model
from synclr_assets.provenance.proposed_weights import MAX_STEP
from synclr_assets.report.attribution import PROPOSAL_NOTE, rests_on
from synclr_assets.report.scores import percent, spelled


@click.command("attribution")
@click.argument("model_id", metavar="MODEL")
@click.option(
    "--mapping",
    type=click.Path(path_type=Path),
    help="YAML of class: concept, or class: [bucket/concept, ...]; [] says that a class is no concept.",
)
@click.option("--dataset", help="Score on this data set; default the model's headline score.")
@click.option("--metric", help="This metric; default the model's headline score.")
@click.option(
    "--max-step",
    type=click.FloatRange(1),
    default=MAX_STEP,
    show_default=True,
    help="No weight moves by more than this factor.",
)
@click.option(
    "--write-weights",
    "weights_folder",
    type=click.Path(path_type=Path),
    help="New folder for the bucket files with the proposed weights, complete and ready to use.",
)
@click.option(
    "--concepts",
    "bank_folder",
    type=click.Path(path_type=Path),
    help="Concept bank that the weights are for; default SYNCLR_CONCEPTS.",
)
@STORE_OPTION
def command(
    model_id: str,
    mapping: Path | None,
    dataset: str | None,
    metric: str | None,
    max_step: float,
    weights_folder: Path | None,
    bank_folder: Path | None,
    root: str | None,
) -> None:
    """Which buckets the score of MODEL (an id or its beginning) rests on, class by class.

    Proposes new weights and budgets from the errors and the captions read; nothing acts upon them.
    """
    store = open_store(root)
    if weights_folder is not None:
        check_folder(weights_folder)
    attribution = attribute(
        store,
        find_model(store, model_id),
        class_map=read_class_map(mapping) if mapping else None,
        dataset=dataset,
        metric=metric,
        max_step=max_step,
    )
    click.echo("\n".join(attribution_lines(attribution)))
    if weights_folder is not None:
        buckets = proposed_buckets(attribution, read_bank(bank_folder or concept_folder(os.environ)))
        if not buckets:
            raise click.UsageError(
                "No class has a concept, so there is no weight to write: give a --mapping."
            )
        write_bank(PlannedBank(buckets, {}), weights_folder)
        named = ", ".join(bucket.name for bucket in buckets)
        click.echo(f"\nproposed bucket files of {named} written to {weights_folder}")


def attribution_lines(attribution: Attribution) -> list[str]:
    """The attribution as plain lines: buckets, classes, those without a concept, proposed weights."""
    score = attribution.score
    lines = [
        f"{spelled(score['metric'])} {percent(score['value'])} on {score['dataset']} ({score['split']}, "
        f"{score['num_test']} images), mean of its classes {percent(attribution.class_mean)}",
        *rests_on(attribution),
    ]
    rows = [("bucket", "classes", "of score", "their value", "captions read", "budget", "proposed")]
    for part in attribution.buckets:
        rows.append(
            (
                f"{part.bucket}@{part.generation}",
                f"{part.num_classes:.4g}",
                percent(part.share),
                "-" if part.value is None else percent(part.value),
                f"{part.captions_read:.0f}",
                str(part.num_captions),
                str(part.proposed_captions),
            )
        )
    lines += ["", *_indented(rows)]
    if attribution.concepts:
        concepts = [("concept", "value", "captions read", "weight", "proposed")]
        for each in attribution.concepts:
            concepts.append(
                (
                    f"{each.bucket}/{each.concept}",
                    percent(each.value),
                    f"{each.captions_read:.0f}",
                    f"{each.weight:.4g}",
                    f"{each.proposed_weight:.4g}",
                )
            )
        lines += ["", *_indented(concepts)]
    if attribution.unmatched:
        lines += ["", f"classes without a concept: {len(attribution.unmatched)}"]
        lines += [f"  {name} ({percent(value)}): {reason}" for name, value, reason in attribution.unmatched]
    return [*lines, "", PROPOSAL_NOTE.format(max_step=f"{attribution.max_step:g}")]


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    return ["  " + line for line in aligned(rows)]
