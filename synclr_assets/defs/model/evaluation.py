"""What both evaluation assets share: which model is scored, how the task runs, what the UI shows of it."""

from functools import partial
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from synclr_assets.launch.process import run_task
from synclr_assets.launch.tasks import EvalTask, ProbeTask
from synclr_assets.launch.training import evaluate, fetch_encoder
from synclr_assets.provenance.attribution import attribute
from synclr_assets.provenance.models import find_model, models
from synclr_assets.provenance.scores import headline, scores_of
from synclr_assets.report.attribution import attribution_table
from synclr_assets.report.confusion import confusion_picture
from synclr_assets.report.evidence import confusion_of, pictures_of
from synclr_assets.report.previews import class_table, markdown_image, score_table
from synclr_assets.store.errors import NotReadyError
from synclr_assets.store.store import Store

BASELINES = ("random_weights", "raw_pixels")
MAX_PICTURES = 4
JUDGES = ("random_weights", "most_frequent_class")
"""Baselines that a model must beat, the hardest first; a trained head may come without random weights."""


class EvaluationConfig(dg.Config):
    """Which model to score, and on which part."""

    model_id: str | None = Field(
        default=None, description="An id or prefix; left out, the slice's newest model."
    )
    split: Literal["validation", "test"] = Field(
        default="test", description="`validation` while settings are still being chosen."
    )


def run_probe(
    context: dg.AssetExecutionContext,
    config: EvaluationConfig,
    store: Store,
    pipes: dg.PipesSubprocessClient,
    datasets: tuple[str, ...],
    feature_cache: str | None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Probe the chosen model of the slice; its row and its recorded scores."""
    model = chosen_model(store, context.partition_key, config.model_id)
    encoder = fetch_encoder(store, model)
    task = ProbeTask(
        encoder_dir=str(encoder),
        out_dir=str(encoder / "evals" / "linear_probe"),
        datasets=datasets,
        split=config.split,
        baselines=BASELINES,
        cache_dir=feature_cache,
    )
    evaluate(store, model, task, partial(run_task, context, pipes))
    return model, scores_of(store, model["model_id"], "linear_probe")


def run_evaluation(
    context: dg.AssetExecutionContext,
    config: EvaluationConfig,
    store: Store,
    pipes: dg.PipesSubprocessClient,
    kind: Literal["segmentation"],
    dataset: str,
    head: str | None = None,
    baselines: tuple[str, ...] = BASELINES,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Score the chosen model of the slice; its row and its recorded scores."""
    model = chosen_model(store, context.partition_key, config.model_id)
    encoder = fetch_encoder(store, model)
    task = EvalTask(
        kind=kind,
        encoder_dir=str(encoder),
        out_dir=str(encoder / "evals" / kind),
        dataset=dataset,
        head=head,
        split=config.split,
        baselines=baselines,
    )
    evaluate(store, model, task, partial(run_task, context, pipes))
    return model, scores_of(store, model["model_id"], kind)


def chosen_model(store: Store, slice_name: str, model_id: str | None) -> dict[str, Any]:
    """The asked model, else the newest of the slice. Raises NotReadyError where the slice has none."""
    if model_id is not None:
        return find_model(store, model_id)
    trained = models(store, slice_name)
    if not trained:
        raise NotReadyError(
            f"Slice {slice_name} has no model yet: materialise checkpoint of {slice_name} first."
        )
    return trained[0]


def score_result(
    store: Store,
    model: dict[str, Any],
    scores: list[dict[str, Any]],
    check_name: str,
    metric: str,
    *,
    shown: list[dict[str, Any]] | None = None,
) -> dg.MaterializeResult:
    """Score table, classes, attribution, pictures, all as the page has them, and the verdict against a baseline:
    the first of JUDGES that was measured. `shown` are the score table's rows where they are more than `scores`."""
    by_subject = headline(scores, metric)
    value = by_subject.pop("model")
    baseline = next(name for name in JUDGES if name in by_subject)
    return dg.MaterializeResult(
        metadata={
            "model": model["model_id"],
            metric: value,
            **{f"{metric}, {name.replace('_', ' ')}": score for name, score in sorted(by_subject.items())},
            "protocol": scores[0]["protocol_fingerprint"],
            "scores": dg.MarkdownMetadataValue(score_table(shown or scores)),
            "by class": dg.MarkdownMetadataValue(class_table(scores, metric)),
            **_attribution(store, model, scores, metric),
            **_pictures(store, model, scores[0]["asset"]),
        },
        data_version=dg.DataVersion(f"{model['model_id']}-{scores[0]['protocol_fingerprint'][:12]}"),
        check_results=[
            dg.AssetCheckResult(
                check_name=check_name,
                passed=value > by_subject[baseline],
                metadata={"model": value, baseline.replace("_", " "): by_subject[baseline]},
            )
        ],
    )


def _attribution(
    store: Store, model: dict[str, Any], scores: list[dict[str, Any]], metric: str
) -> dict[str, dg.MarkdownMetadataValue]:
    """Which concepts the score rests on; nothing for a metric that has no value per class."""
    has_classes = any(
        row["per_class"] for row in scores if row["metric"] == metric and not row["is_baseline"]
    )
    if not has_classes:
        return {}
    found = attribute(store, model, dataset=scores[0]["dataset"], metric=metric)
    return {"attribution": dg.MarkdownMetadataValue(attribution_table(found))}


def _pictures(store: Store, model: dict[str, Any], asset: str) -> dict[str, dg.MarkdownMetadataValue]:
    pictures = {each.name: each.png for each in pictures_of(store, model, asset)[:MAX_PICTURES]}
    confusion = confusion_of(store, model, asset)
    if confusion is not None:
        pictures["confusion"] = confusion_picture(confusion)
    return {name: dg.MarkdownMetadataValue(markdown_image(png, name)) for name, png in pictures.items()}
