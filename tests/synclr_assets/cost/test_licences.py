"""What data came from: every generator by stage, and the clauses of its licence in words that can be trusted."""

import re
from dataclasses import replace

import pytest

from synclr_assets.cost.licence_terms import LICENCES, UNKNOWN, licence_named
from synclr_assets.cost.licences import Use, licences_of, units_of_buckets, uses_of
from synclr_assets.provenance.models import units_of_model
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.diffusion.settings import DEFAULT_LICENCE
from synclr_assets.synthesis.transformers_settings import KNOWN_LICENCES
from tests.synclr_assets.conftest import Stages

FRUIT = Unit("fruit", 0)


@pytest.mark.parametrize(
    ("recorded", "name"),
    [
        ("Llama 2 Community License", "Llama 2 Community License"),
        ("llama2", "Llama 2 Community License"),
        ("LLAMA 2 COMMUNITY LICENSE AGREEMENT", "Llama 2 Community License"),
        ("llama3", "Llama 3 Community License"),
        ("Llama 3.1 Community License", "Llama 3.1 Community License"),
        ("llama3.2", "Llama 3.2 Community License"),
        ("llama-3.3", "Llama 3.3 Community License"),
        ("llama4", "Llama 4 Community License"),
        ("OpenAI terms of use", "OpenAI terms"),
        ("creativeml-openrail-m", "CreativeML OpenRAIL-M"),
        ("CreativeML OpenRAIL-M", "CreativeML OpenRAIL-M"),
        ("CreativeML Open RAIL-M", "CreativeML OpenRAIL-M"),
        ("openrail++", "CreativeML Open RAIL++-M"),
        ("CreativeML Open RAIL++-M", "CreativeML Open RAIL++-M"),
        ("Apache-2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("apache license 2.0", "Apache-2.0"),
        ("MIT", "MIT"),
        ("bsd-3-clause", "BSD"),
        ("CC0-1.0", "CC0-1.0"),
        ("cc-by-4.0", "Creative Commons, attribution"),
        ("CC-BY-NC-4.0", "Creative Commons, non-commercial"),
        ("cc-by-nc-sa-4.0", "Creative Commons, non-commercial"),
        ("cc-by-sa-4.0", "Creative Commons, share alike"),
        ("gemma", "Gemma terms of use"),
        ("as brought by the user", "unknown"),
        ("terms of the provider", "unknown"),
        ("other", "unknown"),
        ("", "unknown"),
        ("submit", "unknown"),
        ("llama", "unknown"),
    ],
)
def test_a_recorded_name_finds_its_licence_or_is_said_to_be_unknown(recorded: str, name: str) -> None:
    assert licence_named(recorded).name == name


def test_every_licence_finds_itself_and_names_a_source() -> None:
    for licence in LICENCES:
        assert licence.source.startswith("https://")
        if not licence.name.startswith("Creative Commons"):
            assert licence_named(licence.name) is licence


def test_licences_that_the_generators_record_are_known() -> None:
    for recorded in (*KNOWN_LICENCES.values(), DEFAULT_LICENCE):
        assert licence_named(recorded) is not UNKNOWN, recorded


def test_the_clauses_that_matter_are_there() -> None:
    def said(recorded: str) -> str:
        return " ".join(licence_named(recorded).clauses)

    assert re.search(r"not be used to improve any large language model but Llama 2", said("llama2"))
    assert "700 million monthly users" in said("llama2")
    assert "begins with 'Llama'" in said("llama3.1")
    assert "improve any large language model" not in said("llama3.1")
    assert "compete with OpenAI" in said("OpenAI terms")
    assert "Attachment A" in said("creativeml-openrail-m")
    assert said("Apache-2.0") == ""
    assert "nothing can be said" in said("house rules")


def test_a_real_run_is_counted_by_stage(stages: Stages) -> None:
    stages.run_all(FRUIT)
    stages.run_all(Unit("patterns", 0))
    units = units_of_buckets(stages.store, ["fruit", "patterns", "never_made"])
    assert units == [FRUIT, Unit("patterns", 0)]
    uses = {(use.stage, use.model): use.num_rows for use in uses_of(stages.store, units)}
    texts = stages.store.tables.read("captions", columns=["text"])["text"]
    assert uses[("captions", "rehearsal-captioner")] == len(texts) - texts.null_count
    assert uses[("enriched_captions", "rehearsal-captioner")] == 34
    assert uses[("images", "rehearsal-painter")] == 34 * 4
    assert uses[("backgrounds", "rehearsal-backgrounds")] == stages.store.tables.count("backgrounds")
    assert {use.recorded_licence for use in uses_of(stages.store, units)} == {"Apache-2.0"}


def test_reused_and_shared_backgrounds_count_and_lists_asked_for_in_vain_do_not(stages: Stages) -> None:
    stages.run_all(FRUIT)
    stages.run_all(Unit("fruit", 1))  # reuses the backgrounds of generation 0
    bought = {
        "generation": 0,
        "position": 0,
        "concept": "custom",
        "ordinal": 0,
        "origin": "generated",
        "model": "writer",
        "revision": "7",
        "licence": "OpenAI terms",
        "fingerprint": "f",
    }
    rows = [
        bought | {"bucket": "source:custom", "background": "a beach"},
        bought | {"bucket": "source:custom", "background": None, "ordinal": 1},
        bought | {"bucket": "source:flowers", "background": "a meadow"},
    ]
    tables = stages.store.tables
    tables.append(tables.open_or_create("backgrounds"), "backgrounds", rows_of("backgrounds", rows))
    uses = [use for use in uses_of(stages.store, [Unit("fruit", 1)]) if use.stage == "backgrounds"]
    assert {use.model for use in uses} == {"rehearsal-backgrounds", "writer"}
    assert next(use.num_rows for use in uses if use.model == "writer") == 1


def test_a_models_data_is_what_its_row_says(stages: Stages) -> None:
    stages.run_all(FRUIT)
    stages.run_all(Unit("fruit", 1))
    model = {"inputs": [{"bucket": "fruit", "generation": 0}]}
    uses = uses_of(stages.store, units_of_model(model))
    assert {use.num_rows for use in uses if use.stage == "images"} == {23 * 4}


def test_nothing_made_is_nothing_used(store: Store) -> None:
    assert uses_of(store, []) == []
    assert uses_of(store, [FRUIT]) == []


def test_licences_with_clauses_come_first_and_each_once() -> None:
    free = Use("images", "painter", "1", "Apache-2.0", 4)
    bound = replace(free, model="llama", recorded_licence="llama2")
    other = replace(free, model="llama", recorded_licence="Llama 2 Community License")
    found = [(licence.name, recorded) for licence, recorded in licences_of([free, bound, other])]
    assert found == [
        ("Llama 2 Community License", ("Llama 2 Community License", "llama2")),
        ("Apache-2.0", ("Apache-2.0",)),
    ]
