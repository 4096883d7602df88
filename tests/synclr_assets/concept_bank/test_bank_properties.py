"""Properties of any valid bank: reading gives back what was written, a fingerprint follows the meaning."""

import json
import tempfile
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_assets.concept_bank.bank import read_bank
from synclr_assets.concept_bank.bucket import SOURCES, TEMPLATES, Bucket, Concept, template_shares_of

LETTERS = st.characters(categories=["L", "N", "P", "S", "M"], include_characters=" ")


def is_settled(text: str) -> bool:
    return bool(text) and text == " ".join(unicodedata.normalize("NFC", text).split()) and text.isprintable()


def sameness(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


TEXTS = st.text(LETTERS, min_size=1, max_size=20).filter(is_settled)
WEIGHTS = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
SHARES = st.dictionaries(st.sampled_from(TEMPLATES), st.floats(0.01, 100), min_size=1)
SLUGS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,15}", fullmatch=True).filter(
    lambda s: s not in ("all", "slices")
)


@st.composite
def buckets(draw: st.DrawFn, name: str) -> dict[str, object]:
    """A bucket file's content with every optional part left out at times."""
    shares = draw(SHARES)
    concepts: list[object] = []
    for text in draw(st.lists(TEXTS, min_size=1, max_size=6, unique_by=sameness)):
        full = {
            "name": text,
            "text": text,
            "weight": draw(WEIGHTS),
            "templates": draw(st.lists(st.sampled_from(sorted(shares)), min_size=1, unique=True)),
        }
        kept = draw(st.sets(st.sampled_from(["text", "weight", "templates"])))
        concepts.append({k: v for k, v in full.items() if k == "name" or k in kept} if kept else text)
    optional = {
        "bucket": name,
        "description": draw(TEXTS),
        "source": draw(st.sampled_from(sorted(SOURCES))),
    }
    kept = draw(st.sets(st.sampled_from(sorted(optional))))
    return {
        **{key: optional[key] for key in kept},
        "captions": draw(st.integers(1, 10**9)),
        "templates": shares,
        "concepts": concepts,
    }


@st.composite
def banks(draw: st.DrawFn) -> tuple[dict[str, dict[str, object]], dict[str, list[str]]]:
    """File contents by bucket, and named slices over them."""
    names = draw(st.lists(SLUGS, min_size=1, max_size=4, unique=True))
    files = {name: draw(buckets(name)) for name in names}
    slices = draw(
        st.dictionaries(
            SLUGS.filter(lambda s: s not in names),
            st.lists(st.sampled_from(names), min_size=1, unique=True),
            max_size=3,
        )
    )
    return files, slices


def expected_concept(written: object, shares: dict[str, float]) -> Concept:
    fields = written if isinstance(written, dict) else {"name": written}
    allowed = fields.get("templates", list(shares))
    return Concept(
        name=fields["name"],
        text=fields.get("text", fields["name"]),
        weight=fields.get("weight", 1.0),
        templates=tuple(template for template in TEMPLATES if template in allowed),
    )


def read_only(name: str, text: str) -> Bucket:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{name}.yaml").write_text(text, encoding="utf-8")
        bank = read_bank(Path(folder))
    assert bank.problems == ()
    return bank.buckets[name]


@settings(deadline=None)
@given(banks())
def test_reading_gives_back_what_was_written(bank_written):
    files, slices = bank_written
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            dumped = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
            Path(folder, f"{name}.yaml").write_text(dumped, encoding="utf-8")
        Path(folder, "slices.yml").write_text(yaml.safe_dump({"slices": slices}), encoding="utf-8")
        bank = read_bank(Path(folder))
    assert [problem.sentence for problem in bank.problems] == []
    assert list(bank.buckets) == sorted(files)
    for name, content in files.items():
        bucket = bank.buckets[name]
        assert bucket.num_captions == content["captions"]
        assert bucket.source == content.get("source", "custom")
        assert bucket.description == content.get("description", "")
        total = sum(content["templates"].values())
        assert bucket.template_shares == pytest.approx(
            {t: s / total for t, s in content["templates"].items()}
        )
        expected = [expected_concept(concept, content["templates"]) for concept in content["concepts"]]
        assert list(bucket.concepts) == expected
        for concept in bucket.concepts:
            shares = template_shares_of(bucket, concept)
            assert tuple(shares) == concept.templates
            assert sum(shares.values()) == pytest.approx(1.0)
    everything = {name: (name,) for name in files} | {s: tuple(sorted(m)) for s, m in slices.items()}
    assert bank.slices == everything | {"all": tuple(sorted(files))}


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_fingerprint_ignores_formatting(data):
    content = data.draw(buckets("birds"))
    plain = read_only("birds", yaml.safe_dump(content, allow_unicode=True))
    shuffled = {key: content[key] for key in data.draw(st.permutations(sorted(content)))}
    flow = "# a note\n" + yaml.safe_dump(shuffled, default_flow_style=True, sort_keys=False, width=30)
    as_json = json.dumps(
        {**content, "description": "other words", "bucket": "birds"}, indent=3, ensure_ascii=False
    )
    assert (
        plain.fingerprint == read_only("birds", flow).fingerprint == read_only("birds", as_json).fingerprint
    )


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_fingerprint_changes_with_meaning(data):
    bucket = read_only("birds", yaml.safe_dump(data.draw(buckets("birds")), allow_unicode=True))
    last = bucket.concepts[-1]
    others = [
        replace(bucket, name="fowl"),
        replace(bucket, source="food" if bucket.source != "food" else "pets"),
        replace(bucket, num_captions=bucket.num_captions + 1),
        replace(bucket, template_shares={"c": 0.123, "c_bg": 0.877}),
        replace(
            bucket, concepts=(*bucket.concepts, replace(last, name=last.name + "x", text=last.text + "x"))
        ),
        replace(
            bucket, concepts=(*bucket.concepts[:-1], replace(last, weight=2.0 if last.weight == 1.0 else 1.0))
        ),
        replace(bucket, concepts=(*bucket.concepts[:-1], replace(last, text=last.text + "x"))),
    ]
    if len(bucket.concepts) > 1:
        others.append(replace(bucket, concepts=bucket.concepts[::-1]))
    fingerprints = {bucket.fingerprint, *(other.fingerprint for other in others)}
    assert len(fingerprints) == 1 + len(others)
