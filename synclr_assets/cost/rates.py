"""Rates and prices as a user gives them in a YAML file, and as figures that say where they come from.

A figure is given (the file), measured (a probe, the ledger), counted (the bank, the prompts, the recipe) or
assumed. What nobody knows is absent, and is never replaced by a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from synclr_assets.cost.settings_files import read_settings
from synclr_assets.synthesis.backgrounds import BackgroundSettings
from synclr_assets.synthesis.captioners import CaptionerSettings
from synclr_assets.synthesis.image_samplers import ImageSamplerSettings

Basis = Literal["given", "measured", "counted", "assumed"]
Place = Literal["cpu", "gpu", "api"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AtLeastOne = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Figure:
    """One number or name behind a quote."""

    value: float | str
    basis: Basis
    because: str
    """Where it comes from, for people."""


Figures = Mapping[str, Figure]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TokensByTemplate(_Section):
    """Tokens of one rendered prompt, by template."""

    c: Positive | None = None
    c_rel: Positive | None = None
    c_bg: Positive | None = None


class CaptionerRates(_Section):
    """The language model of captions and enriched_captions."""

    runs_on: Place | None = None
    """Where it runs: `gpu` and `cpu` cost hours, `api` costs tokens."""
    model: str | None = None
    """Model id, as the ledger knows it."""
    workers: Count | None = None
    """GPUs or processes at once; for an API, requests in flight."""
    completions_per_second: Positive | None = None
    """Completions of one worker."""
    attempts_per_caption: AtLeastOne | None = None
    """Draws per caption that passes its checks."""
    characters_per_token: Positive | None = None
    """Of the model's tokenizer, on English."""
    prompt_tokens: TokensByTemplate | None = None
    """Tokens of a prompt; left out, estimated from the prompt set."""
    completion_tokens: Positive | None = None
    """Tokens of a completion; left out, estimated from the prompt set."""
    usd_per_million_prompt_tokens: NonNegative | None = None
    """For `api`."""
    usd_per_million_completion_tokens: NonNegative | None = None
    """For `api`."""


class BackgroundRates(_Section):
    """The writer of plausible backgrounds."""

    runs_on: Place | None = None
    """Where it runs; dictionaries are `cpu`."""
    model: str | None = None
    """Model id, as the ledger knows it."""
    workers: Count | None = None
    """Requests in flight."""
    lists_per_second: Positive | None = None
    """Lists of one worker."""
    attempts_per_list: AtLeastOne | None = None
    """Requests per list that passes its checks."""
    backgrounds_per_list: Count | None = None
    """Backgrounds asked for (the paper: about 100)."""
    prompt_tokens_per_list: Positive | None = None
    """Tokens of the request."""
    completion_tokens_per_background: Positive | None = None
    """Tokens of one background in the answer."""
    usd_per_million_prompt_tokens: NonNegative | None = None
    """For `api`; give the batch price for a batch API."""
    usd_per_million_completion_tokens: NonNegative | None = None
    """For `api`; give the batch price for a batch API."""


class ImageRates(_Section):
    """The text-to-image model."""

    runs_on: Place | None = None
    """Where it runs."""
    model: str | None = None
    """Model id, as the ledger knows it."""
    workers: Count | None = None
    """GPUs or processes at once."""
    images_per_second: Positive | None = None
    """Images of one worker, encoding and checks included."""
    draws_per_image: AtLeastOne | None = None
    """Images drawn per image kept."""
    size_px: Count | None = None
    """Height and width, in pixels."""
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] | None = None
    """Of the stored file."""
    bytes_per_image: Positive | None = None
    """Of the stored file."""


class PackingRates(_Section):
    """Packing images into shards."""

    workers: Count | None = None
    """Processes at once."""
    bytes_per_second: Positive | None = None
    """Bytes of shards that one worker checks and writes."""
    record_bytes: Positive | None = None
    """Caption and provenance of one sample, in bytes."""


class TrainingRates(_Section):
    """The trainer."""

    runs_on: Place | None = None
    """Where it runs."""
    recipe: str | None = None
    """Name of a recipe of synclr_train."""
    steps: Count | None = None
    """Optimiser steps instead of the recipe's."""
    workers: Count | None = None
    """Devices at once."""
    images_per_second: Positive | None = None
    """Images of a step, with all their crops, on one device."""


class EvaluationRates(_Section):
    """Linear probe and segmentation, on the trainer's devices."""

    start_seconds: NonNegative | None = None
    """Starting a process and reading weights, per evaluation."""
    probe_image_passes: NonNegative | None = None
    """Images through the frozen encoder, passes counted."""
    segmentation_image_passes: NonNegative | None = None
    """Images through the network and back, passes counted."""


class PriceRates(_Section):
    """Money for hours."""

    usd_per_gpu_hour: NonNegative | None = None
    """Of one GPU."""
    usd_per_cpu_hour: NonNegative | None = None
    """Of one worker that needs no GPU."""


class Generators(_Section):
    """What a probe runs: the settings of the registries."""

    captioner: CaptionerSettings = CaptionerSettings()
    backgrounds: BackgroundSettings = BackgroundSettings()
    images: ImageSamplerSettings = ImageSamplerSettings()


class Rates(_Section):
    """A rates file. Everything in it is optional."""

    captioner: CaptionerRates = CaptionerRates()
    backgrounds: BackgroundRates = BackgroundRates()
    images: ImageRates = ImageRates()
    packing: PackingRates = PackingRates()
    training: TrainingRates = TrainingRates()
    evaluations: EvaluationRates = EvaluationRates()
    prices: PriceRates = PriceRates()
    generators: Generators = Generators()


def read_rates(path: Path) -> Rates:
    """Read a rates file. Raises SettingsFileError in one sentence."""
    return read_settings(path, Rates, "prices: {usd_per_gpu_hour: 2}")


def given_figures(rates: Rates, name: str) -> dict[str, Figure]:
    """Every rate that the file gives, by its dotted place in the file."""
    tree = rates.model_dump(exclude_none=True, exclude={"generators"})
    return {place: Figure(value, "given", name) for place, value in _leaves(tree, "")}


def generator_figures(generators: Generators) -> dict[str, Figure]:
    """What the settings of generators behind a server say about place, model, parallelism and prices."""
    figures: dict[str, Figure] = {}
    servers = {"captioner": generators.captioner.openai, "backgrounds": generators.backgrounds.openai}
    for section, server in servers.items():
        if server is None:
            continue
        factor = server.batch_price_factor if server.use_batch_api else 1.0
        said: dict[str, float | str] = {
            "runs_on": "api",
            "model": server.model,
            "workers": server.max_concurrency,
            "usd_per_million_prompt_tokens": server.usd_per_million_prompt_tokens * factor,
            "usd_per_million_completion_tokens": server.usd_per_million_completion_tokens * factor,
        }
        for name, value in said.items():
            figures[f"{section}.{name}"] = Figure(value, "given", f"generators.{section}.openai")
    return figures


def number(figures: Figures, place: str) -> float | None:
    """A figure as a number; None where nobody knows it."""
    if place not in figures:
        return None
    value = figures[place].value
    assert not isinstance(value, str), place
    return value


def known(figures: Figures, place: str) -> float:
    """A figure that every quote has, because it is counted or assumed where nobody gives it."""
    value = number(figures, place)
    assert value is not None, place
    return value


def text(figures: Figures, place: str) -> str:
    """A figure that is a name."""
    return str(figures[place].value)


def _leaves(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        place = f"{prefix}{key}"
        found += _leaves(value, f"{place}.") if isinstance(value, dict) else [(place, value)]
    return found
