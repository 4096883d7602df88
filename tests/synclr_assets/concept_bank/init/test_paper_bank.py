"""`synclr concepts init paper`: the plan of buckets and budgets for any number of either."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_assets.concept_bank.bucket import Concept
from synclr_assets.concept_bank.init.paper import (
    PAPER_NUM_CAPTIONS,
    PaperBankError,
    buckets_per_source,
    contiguous_parts,
    paper_bank,
)


def test_eleven_buckets_are_the_eleven_sources_with_the_papers_budget():
    plan = paper_bank(11)
    budgets = {bucket.name: bucket.num_captions for bucket in plan.buckets}
    assert all(bucket.name == bucket.source for bucket in plan.buckets)
    assert sum(budgets.values()) == PAPER_NUM_CAPTIONS == 150_000_000
    assert budgets["imagenet1k"] == 70_500_000
    assert budgets["cars"] == budgets["food"] == budgets["aircraft"] == 7_500_000
    assert budgets["sun397"] + budgets["places365"] == 13_500_000
    assert budgets["textures"] == 300_000
    assert plan.slices == {"places": ("sun397", "places365")}


@given(st.integers(11, 400), st.integers(10_000_000, 1_000_000_000))
@settings(max_examples=15, deadline=None)
def test_any_number_of_buckets_and_captions_is_met_exactly(num_buckets, num_captions):
    plan = paper_bank(num_buckets, num_captions)
    assert len(plan.buckets) == num_buckets
    assert len({bucket.name for bucket in plan.buckets}) == num_buckets
    assert sum(bucket.num_captions for bucket in plan.buckets) == num_captions
    assert min(bucket.num_captions for bucket in plan.buckets) >= 1
    concepts = [(bucket.source, concept.name) for bucket in plan.buckets for concept in bucket.concepts]
    assert len(concepts) == len(set(concepts)) == 12_415


def test_a_source_in_several_buckets_is_a_slice_of_them_in_order():
    plan = paper_bank(100)
    by_name = {bucket.name: bucket for bucket in plan.buckets}
    members = plan.slices["imagenet1k"]
    assert members[0] == "imagenet1k-01"
    assert {by_name[name].source for name in members} == {"imagenet1k"}
    assert sum(len(by_name[name].concepts) for name in members) == 1000
    assert set(plan.slices["places"]) == set(plan.slices["sun397"]) | set(plan.slices["places365"])
    several = {source for source, count in Counter(b.source for b in plan.buckets).items() if count > 1}
    assert set(plan.slices) == several | {"places"}


@given(
    st.integers(3, 60),
    st.lists(st.tuples(st.floats(0.01, 1.0), st.integers(1, 20)), min_size=3, max_size=3),
)
def test_each_source_has_a_bucket_and_never_more_than_concepts(num_buckets, drawn):
    shares = {f"s{index}": share for index, (share, _) in enumerate(drawn)}
    sizes = {f"s{index}": size for index, (_, size) in enumerate(drawn)}
    if num_buckets > sum(sizes.values()):
        with pytest.raises(PaperBankError):
            buckets_per_source(num_buckets, shares, sizes)
        return
    counts = buckets_per_source(num_buckets, shares, sizes)
    assert sum(counts.values()) == num_buckets
    assert all(1 <= counts[name] <= sizes[name] for name in sizes)


def test_further_buckets_go_where_buckets_are_largest():
    counts = buckets_per_source(6, {"big": 0.8, "small": 0.2}, {"big": 50, "small": 50})
    assert counts == {"big": 5, "small": 1}


@given(st.integers(1, 50), st.integers(1, 50))
def test_parts_are_runs_of_nearly_equal_length(num_concepts, num_parts):
    concepts = [Concept(str(index), str(index), 1.0, ("c",)) for index in range(num_concepts)]
    if num_parts > num_concepts:
        return
    parts = contiguous_parts(concepts, num_parts)
    assert [concept for part in parts for concept in part] == concepts
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("num_buckets", "num_captions", "sentence"),
    [
        (10, 150_000_000, "--buckets 10: a bucket holds one source, and the paper has 11; give at least 11."),
        (
            12_416,
            150_000_000,
            "--buckets 12416: the paper's sources hold 12415 concepts; give at most 12415.",
        ),
        (
            11,
            100_000_000_000,
            "--captions 100000000000: a bucket of imagenet1k would get more than 1000000000; "
            "give fewer, or more --buckets.",
        ),
    ],
)
def test_impossible_numbers_get_one_sentence(num_buckets, num_captions, sentence):
    with pytest.raises(PaperBankError) as refusal:
        paper_bank(num_buckets, num_captions)
    assert str(refusal.value) == sentence


def test_too_few_captions_name_a_number_that_is_enough():
    with pytest.raises(PaperBankError, match=r"would get none; give (\d+) or more") as refusal:
        paper_bank(11, 200)
    enough = int(str(refusal.value).split("give ")[1].split()[0])
    assert min(bucket.num_captions for bucket in paper_bank(11, max(enough, 2000)).buckets) >= 1


def test_the_docs_show_the_plan():
    page = (Path(__file__).parents[4] / "docs" / "concepts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| [^|]+ \| ([\d ]+) \| (all|`c`) \|", page, flags=re.MULTILINE)
    shown = {name: (int(count), int(captions.replace(" ", "")), kind) for name, count, captions, kind in rows}
    assert shown == {
        bucket.name: (
            len(bucket.concepts),
            bucket.num_captions,
            "all" if len(bucket.template_shares) == 3 else "`c`",
        )
        for bucket in paper_bank(11).buckets
    }
