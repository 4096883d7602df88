"""Rates measured by past work are the ledger's, and stand only for the generator they were measured on."""

import pytest

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.measured import measured_figures
from synclr_assets.cost.rates import Figure
from synclr_assets.cost.summary import spent_by
from synclr_assets.stages.ledger import ledger_row
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_train.recipes import rehearsal
from tests.synclr_assets.conftest import Stages

FRUIT = Unit("fruit", 0)


def test_rates_are_those_of_the_committed_batches(stages: Stages) -> None:
    stages.run_all(FRUIT)
    figures = measured_figures(stages.store, rehearsal(), {})
    spent = spent_by(stages.store.tables, "asset")
    images, shards = spent[("images",)], spent[("shards",)]
    assert figures["images.images_per_second"].value == pytest.approx(images.requests / images.wall_seconds)
    assert figures["images.bytes_per_image"].value == pytest.approx(images.size_bytes / (23 * 4))
    assert figures["packing.bytes_per_second"].value == pytest.approx(shards.size_bytes / shards.wall_seconds)
    drawn = spent[("captions",)] + spent[("enriched_captions",)]
    assert figures["captioner.completions_per_second"].value == pytest.approx(
        drawn.requests / drawn.wall_seconds
    )
    assert figures["captioner.runs_on"].value == "cpu"
    assert {figure.basis for figure in figures.values()} == {"measured"}
    assert "rehearsal-painter" in figures["images.images_per_second"].because


def test_a_store_without_work_measures_nothing(store: Store) -> None:
    assert measured_figures(store, rehearsal(), {}) == {}


def test_another_generator_is_not_judged_by_this_ones_past(stages: Stages) -> None:
    stages.run_all(FRUIT)
    sd = {"images.model": Figure("stable-diffusion", "given", "rates.yaml")}
    assert not any(place.startswith("images.") for place in measured_figures(stages.store, rehearsal(), sd))
    on_gpu = {"images.runs_on": Figure("gpu", "given", "rates.yaml")}
    assert "images.images_per_second" not in measured_figures(stages.store, rehearsal(), on_gpu)
    named = {"images.model": Figure("rehearsal-painter", "given", "rates.yaml")}
    assert "images.images_per_second" in measured_figures(stages.store, rehearsal(), named)


def test_of_several_generators_none_is_taken_unasked(bank: ConceptBank, stages: Stages) -> None:
    stages.run_all(FRUIT)
    row = ledger_row(
        "images", Unit("patterns", 0), 0, units=8, generator="other", requests=8, wall_seconds=4.0,
        gpu_seconds=4.0, size_bytes=80,
    )  # fmt: skip
    tables = stages.store.tables
    tables.append(tables.open_or_create("ledger"), "ledger", row)
    assert "images.images_per_second" not in measured_figures(stages.store, rehearsal(), {})
    chosen = {"images.model": Figure("other", "given", "rates.yaml")}
    figures = measured_figures(stages.store, rehearsal(), chosen)
    assert figures["images.images_per_second"].value == 2.0
    assert figures["images.runs_on"].value == "gpu"
