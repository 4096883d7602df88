"""The page leads from a concept to its captions, their images, shard, model and scores, and back."""

from __future__ import annotations

import re

import pytest

from synclr_assets.report.page import render_report
from synclr_assets.report.paths import MAX_CONCEPTS_LISTED, paths_of
from synclr_assets.report.samples import sample_captions
from tests.synclr_assets.report.test_page import Page
from tests.synclr_assets.report.trained_store import (
    GENERATORS,
    HOSTILE_CONCEPT,
    MODEL_ID,
    Trained,
    append,
    scores,
)


@pytest.fixture
def page(trained: Trained) -> Page:
    append(trained.store, "evals", scores())
    return Page(render_report(trained.store, MODEL_ID))


def links_between(page: Page) -> dict[str, set[str]]:
    """Anchors that each element with an id, up to the next one, links to."""
    found: dict[str, set[str]] = {}
    last = ""
    for _, attrs in page.tags:
        last = attrs.get("id") or last
        href = attrs.get("href") or ""
        if href.startswith("#"):
            found.setdefault(last, set()).add(href[1:])
    return found


def test_every_link_has_a_place_and_every_place_is_there_once(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    linked = {to for targets in links_between(page).values() for to in targets}
    assert linked <= set(ids)


def test_a_way_leads_from_each_concept_to_the_scores_and_back(page: Page, trained: Trained) -> None:
    links = links_between(page)
    for ids in trained.caption_ids.values():
        for identity in ids:
            caption, row = f"caption-{identity}", f"path-{identity}"
            (concept,) = [one for one in links if one.startswith("concept-") and caption in links[one]]
            (shard,) = [one for one in links if one.startswith("shard-") and caption in links[one]]
            assert {concept, shard, caption} <= links[row], "from the caption to what is beside it"
            assert row in links[caption], "and from its images to the caption"
    assert {"training", "scores"} <= links["path-scores"]


def test_the_ways_carry_counts_generators_and_places(page: Page) -> None:
    assert "4 concepts → 12 captions → 48 images → 2 shards → 1 model → 2 scores" in page.text
    assert f"{HOSTILE_CONCEPT} objects, generation 0 3 " in page.text
    assert "grammar-7@r1 4 views by painter-9@r2 objects-g0000-000000.tar at byte 0" in page.text
    assert "linear probe accuracy sklearn_digits, test 95.0 %" in page.text


def test_more_concepts_than_a_page_holds_are_counted(trained: Trained) -> None:
    unit = trained.units[0]
    row = {**unit.partitions, "template": "c", **GENERATORS["captions"]}
    more = [
        {**row, "concept": f"thing {n}", "caption_id": f"{n:032x}", "position": 100 + n}
        for n in range(MAX_CONCEPTS_LISTED)
    ]
    append(trained.store, "enriched_captions", more)
    samples = sample_captions(trained.store, trained.units, 12)
    paths = paths_of(trained.store, trained.model, samples)
    assert (len(paths.concepts), paths.num_concepts) == (MAX_CONCEPTS_LISTED, MAX_CONCEPTS_LISTED + 4)
    assert {one.concept for one in paths.concepts if one.shown} == {sample.concept for sample in samples}
    assert (
        "4 more concepts: synclr lineage from model 0123456789ab --to concept"
        in Page(render_report(trained.store, MODEL_ID)).text
    )


def test_a_recalled_caption_that_the_model_was_kept_from_is_not_shown(trained: Trained) -> None:
    unit = trained.units[0]
    kept_from = trained.caption_ids[unit][:2]
    shown = {one.caption_id for one in sample_captions(trained.store, trained.units, 12, kept_from)}
    assert shown == {one for ids in trained.caption_ids.values() for one in ids} - set(kept_from)


def test_no_text_of_the_ways_becomes_markup(trained: Trained) -> None:
    html = render_report(trained.store, MODEL_ID)
    section = html[html.index('<section id="lineage">') : html.index('<section id="samples">')]
    assert "&lt;script&gt;" in section
    assert not re.search(r"<script", section)
