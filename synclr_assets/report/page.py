"""The report: one self-contained HTML page per model. Gathers what the other modules count and lays it out.

The page loads nothing from anywhere: pictures are data URIs, styles are inline, and a policy in its head
forbids the rest. All text from tables is escaped.
"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from synclr_assets.provenance.attribution import attribute
from synclr_assets.provenance.comparison import ComparisonError, ModelComparison, compare_models
from synclr_assets.provenance.models import excluded_captions, find_model, models, recipe_of
from synclr_assets.provenance.scores import scores_of
from synclr_assets.report import attribution, formats, scores
from synclr_assets.report.comparison import INTERVAL_NOTE, points
from synclr_assets.report.confusion import confusion_picture, worst_mistakes
from synclr_assets.report.evidence import EVAL_ASSETS, Confusion, confusion_of, curve_of, pictures_of
from synclr_assets.report.origin import Origin, origin_of
from synclr_assets.report.paths import paths_of
from synclr_assets.report.previews import as_data_uri
from synclr_assets.report.samples import SampleCaption, sample_captions
from synclr_assets.stages.shards import shard_key
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_train.recipes import get_recipe

if TYPE_CHECKING:
    from jinja2 import Environment

NUM_SAMPLE_CAPTIONS = 12
MAX_CLASSES_SHOWN = 30
MAX_TABLED_CONFUSION_CLASSES = 20
NUM_MISTAKES = 12
MAX_OTHER_MODELS = 3
MAX_COMMANDS_PER_BUCKET = 12
RECIPE_FACTS = (
    ("objective", "objective", ""),
    ("image side", "backbone.image_size", " px"),
    ("patch side", "backbone.patch_size", " px"),
    ("width", "backbone.embed_dim", ""),
    ("blocks", "backbone.depth", ""),
    ("captions per step", "batch.captions", ""),
    ("images per caption", "batch.views_per_caption", ""),
    ("local crops", "crops.num_local", ""),
    ("temperature", "contrastive.temperature", ""),
    ("peak learning rate", "optimiser.peak_learning_rate", ""),
    ("teacher momentum", "optimiser.ema_momentum_start", ""),
)
"""What the page quotes of a recipe: label, path in the recipe, unit. The whole recipe stands below it."""


class ReportNotWrittenError(ValueError):
    """The page cannot be put where it was asked for."""


def write_report(store: Store, model_id: str, target: Path) -> Path:
    """Write the page of the model to the file `target`, whole or not at all; returns the path.

    Raises UnknownIdError for no such model, ReportNotWrittenError where the file cannot be written.
    """
    page = render_report(store, model_id)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
            os.chmod(unfinished, 0o644)
            os.replace(unfinished, target)
        except OSError:
            os.unlink(unfinished)
            raise
    except OSError as error:
        raise ReportNotWrittenError(
            f"The report cannot be written to {target} ({error.strerror}): name a file in a writable folder."
        ) from error
    return target


def render_report(store: Store, model_id: str) -> str:
    """The page as HTML. `model_id` may be a beginning that fits one model. Raises UnknownIdError."""
    model = find_model(store, model_id)
    recipe = recipe_of(model)
    origin = origin_of(store, model)
    comparisons = scores.comparisons_of(scores_of(store, model["model_id"]))
    curve = curve_of(store, model)
    by_class = class_tables(comparisons)
    units = [each.unit for each in origin.units]
    samples = sample_captions(store, units, NUM_SAMPLE_CAPTIONS, excluded_captions(store, model))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            model=model,
            recipe_json=json.dumps(recipe, indent=2),
            recipe_facts=recipe_facts(recipe),
            origin=origin,
            samples=samples,
            paths=paths_of(store, model, samples),
            curve=curve and as_data_uri(curve),
            comparisons=comparisons,
            subjects=scores.subjects_of(comparisons),
            headline=scores.headline_of(comparisons),
            verdicts=scores.verdicts(comparisons),
            class_tables=by_class,
            confusions=[
                confusion for asset in EVAL_ASSETS if (confusion := confusion_of(store, model, asset))
            ],
            attributions=[
                attribute(store, model, dataset=each.dataset, metric=each.metric) for each, _, _ in by_class
            ],
            others=comparisons_with_others(store, model) if comparisons else [],
            interval_note=INTERVAL_NOTE,
            proposal_note=attribution.PROPOSAL_NOTE,
            pictures={asset: pictures_of(store, model, asset) for asset in EVAL_ASSETS},
            missing_assets=[
                asset for asset in EVAL_ASSETS if asset not in {each.asset for each in comparisons}
            ],
            departures=departures_of(recipe),
            commands=commands_of(store, model, origin),
        )
    )


def recipe_facts(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and value of what the page quotes of the recipe; what this recipe does not have is left out."""
    facts = []
    for label, path, unit in RECIPE_FACTS:
        value: Any = recipe
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            facts.append((label, formats.plain(value) + unit))
    return facts


def departures_of(recipe: Mapping[str, Any]) -> list[dict[str, str]] | None:
    """Where the recipe leaves the paper: as recorded, else as the named recipe says, else None."""
    if "departures" in recipe:
        return [dict(departure) for departure in recipe["departures"]]
    try:
        named = get_recipe(str(recipe.get("name")))
    except ValueError:
        return None  # a recipe of the user's own that states none; the page says so
    return [departure.model_dump() for departure in named.departures]


def class_tables(comparisons: Sequence[scores.Comparison]) -> list[tuple[scores.Comparison, list[str], int]]:
    """The first metric of each asset that has scores per class, the classes to show, and how many are not."""
    tables: dict[str, tuple[scores.Comparison, list[str], int]] = {}
    for comparison in comparisons:
        scored = comparison.scores.get(scores.MODEL)
        if scored is None or not scored.per_class or comparison.asset in tables:
            continue
        names = list(scored.per_class)
        hidden = max(0, len(names) - MAX_CLASSES_SHOWN)
        if hidden:
            names = sorted(names, key=lambda name: (scored.per_class[name], name))[:MAX_CLASSES_SHOWN]
        tables[comparison.asset] = (comparison, names, hidden)
    return list(tables.values())


def comparisons_with_others(
    store: Store, model: dict[str, Any]
) -> list[tuple[dict[str, Any], ModelComparison | str]]:
    """The newest other models of the slice, each with the comparison, or why there is none in one sentence."""
    others = [each for each in models(store, model["slice"]) if each["model_id"] != model["model_id"]]
    found: list[tuple[dict[str, Any], ModelComparison | str]] = []
    for other in others[:MAX_OTHER_MODELS]:
        try:
            found.append((other, compare_models(store, [model, other])))
        except ComparisonError as error:
            found.append((other, str(error)))
    return found


def commands_of(store: Store, model: Mapping[str, Any], origin: Origin) -> list[tuple[str, str]]:
    """What each command does, and the command: from the data to this page."""
    root = str(store.location.folder) if store.location.is_local else store.location.uri
    units = [each.unit for each in origin.units]
    patterns = " \\\n  ".join(f'--shards "$SYNCLR_STORE/{_shard_pattern(unit)}"' for unit in units)
    slice_name, model_id = shlex.quote(model["slice"]), model["model_id"]
    settings = f"--recipe {shlex.quote(model['recipe'])} --steps {model['steps']} --seed {model['seed']}"
    data = (
        "\n".join(
            f"synclr materialize {unit.bucket} --generation {unit.generation} --only dataset"
            for unit in units
        )
        if len(units) <= MAX_COMMANDS_PER_BUCKET
        else f"synclr materialize {slice_name} --only dataset"
    )
    return [
        ("The store that holds everything below", f"export SYNCLR_STORE={shlex.quote(root)}"),
        ("Make the data, bucket by bucket; what is there already is left as it is", data),
        (
            "Train on the newest packed generations and score",
            f"synclr materialize {slice_name} --only model {settings}",
        ),
        (
            "Or train alone, without the platform",
            f"synclr-train fit {settings} \\\n  {patterns} \\\n  --out retrained",
        ),
        ("Which buckets its score rests on", f"synclr attribution {model_id}"),
        ("Follow the model back to its data", f"synclr lineage model {model_id}"),
        ("Write this page again", f"synclr report {model_id}"),
    ]


def _shard_pattern(unit: Unit) -> str:
    return f"{PurePosixPath(shard_key(unit, 0)).parent}/*.tar"


def _confusion_uri(confusion: Confusion) -> str:
    return as_data_uri(confusion_picture(confusion))


def _view_uris(sample: SampleCaption) -> list[str]:
    return [as_data_uri(data, media_type) for media_type, data in sample.views]


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("synclr_assets.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["max_tabled_classes"] = MAX_TABLED_CONFUSION_CLASSES
    environment.tests["sentence"] = lambda value: isinstance(value, str)
    environment.filters |= {
        "grouped": formats.grouped,
        "size": formats.size,
        "duration": formats.duration,
        "percent": lambda value: formats.tied(scores.percent(value)),
        "tied": formats.tied,
        "interval": scores.interval,
        "spelled": scores.spelled,
        "by_dataset": scores.by_dataset,
        "rests_on": attribution.rests_on,
        "points": points,
        "confusion_uri": _confusion_uri,
        "mistakes": lambda confusion: worst_mistakes(confusion, NUM_MISTAKES),
        "view_uris": _view_uris,
        "png_uri": as_data_uri,
    }
    return environment
