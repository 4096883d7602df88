"""Figures measured by past work: the ledger's and the models' rates. Reads tables, runs nothing."""

from __future__ import annotations

import json

import pyarrow.compute as pc

from synclr_assets.cost.rates import Figure, Figures, text
from synclr_assets.cost.summary import Spent, spent_by
from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.store.store import Store
from synclr_train.recipes import Recipe

SECTION_OF = {
    "captions": "captioner",
    "enriched_captions": "captioner",
    "backgrounds": "backgrounds",
    "images": "images",
    "shards": "packing",
}


def measured_figures(store: Store, recipe: Recipe, given: Figures) -> dict[str, Figure]:
    """Rates of the store's past: of the generator that the rates file names, else of the only one.

    A section that the file places elsewhere (`runs_on`) without naming its model, or that several generators
    have worked for, is left alone: the past says nothing about it.
    """
    figures: dict[str, Figure] = {}
    generators: dict[str, dict[str, Spent]] = {}
    for (stage, generator), spent in spent_by(store.tables, "asset", "generator").items():
        section = SECTION_OF.get(str(stage))
        if section is not None:
            by_generator = generators.setdefault(section, {})
            by_generator[str(generator)] = by_generator.get(str(generator), Spent()) + spent
    for section, by_generator in generators.items():
        name = _chosen(section, tuple(by_generator), given)
        if name is not None:
            figures |= _of_section(section, name, by_generator[name])
    return figures | _of_training(store, recipe, given)


def _chosen(section: str, names: tuple[str, ...], given: Figures) -> str | None:
    if f"{section}.model" in given:
        wanted = text(given, f"{section}.model")
        return wanted if wanted in names else None
    return names[0] if len(names) == 1 and f"{section}.runs_on" not in given else None


def _of_section(section: str, name: str, spent: Spent) -> dict[str, Figure]:
    because = f"the ledger: {spent.batches} batches by {name}"
    rates: dict[str, float | str] = {"model": name}
    seconds, requests, units = spent.wall_seconds, spent.requests, spent.units
    if section != "packing":
        rates["runs_on"] = "gpu" if spent.gpu_seconds else "api" if spent.usd else "cpu"
    if section == "captioner" and requests and seconds:
        rates["completions_per_second"] = requests / seconds
        rates["completion_tokens"] = spent.completion_tokens / requests
        for template in ("c", "c_rel", "c_bg"):
            rates[f"prompt_tokens.{template}"] = spent.prompt_tokens / requests
    elif section == "backgrounds" and requests and seconds:
        rates["lists_per_second"] = requests / seconds
    elif section == "images" and requests and units and seconds:
        rates["images_per_second"] = requests / seconds
        rates["draws_per_image"] = max(1.0, requests / units)
        rates["bytes_per_image"] = spent.size_bytes / units
    elif section == "packing" and spent.size_bytes and seconds:
        rates["bytes_per_second"] = spent.size_bytes / seconds
    return {
        f"{section}.{place}": Figure(value, "measured", because) for place, value in rates.items() if value
    }


def _of_training(store: Store, recipe: Recipe, given: Figures) -> dict[str, Figure]:
    """Images per second of the newest model of the same recipe, whatever its steps."""
    if "training.runs_on" in given:
        return {}
    columns = ["recipe_json", "steps", "seconds", "device", "model_id", "created_at"]
    rows = store.tables.read("models", columns=columns, where=pc.field("recipe") == recipe.name)
    if not rows.num_rows:
        return {}
    newest = rows.sort_by([("created_at", "descending")]).slice(0, 1).to_pylist()[0]
    batch = json.loads(newest["recipe_json"])["batch"]
    assert batch["views_per_caption"] <= VIEWS_PER_CAPTION
    num_images = newest["steps"] * batch["captions"] * batch["views_per_caption"]
    because = f"model {newest['model_id'][:12]}: {newest['steps']} steps on {newest['device']}"
    on = "gpu" if newest["device"].startswith("cuda") else "cpu"
    return {
        "training.images_per_second": Figure(num_images / newest["seconds"], "measured", because),
        "training.runs_on": Figure(on, "measured", because),
    }
