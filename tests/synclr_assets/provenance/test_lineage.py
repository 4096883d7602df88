"""Lineage between any two kinds of things, and finding a caption among many buckets."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from synclr_assets.cli import cli
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.provenance.lineage import (
    caption_lineage,
    captions_of_model,
    model_lineage,
    sample_captions,
)
from synclr_assets.provenance.lineage_generators import GENERATOR_COLUMNS, generators_of
from synclr_assets.provenance.lineage_index import find_caption, index_captions
from synclr_assets.provenance.lineage_nodes import KINDS, LineageError
from synclr_assets.provenance.lineage_trace import trace
from synclr_assets.provenance.models import record_model, recorded_model
from synclr_assets.store.errors import UnknownIdError
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import Stages
from tests.synclr_assets.provenance.test_inputs import trained
from tests.synclr_assets.provenance.trained_slice import BUCKETS, UNITS, score_of

MODEL_ID = "ab" * 16


def with_model(store: Store) -> Store:
    """All data and a model that read every caption of the first shard of each bucket once, with a score."""
    inputs = training_inputs(store, "everything", BUCKETS)
    first = {shard.key: shard.num_captions for shard in inputs.shards if shard.shard_index == 0}
    record_model(store, inputs, trained(MODEL_ID, first))
    model = recorded_model(store, MODEL_ID)
    assert model is not None
    score_of(store, model)
    return store


def names_of(store: Store, table: str, column: str) -> set[str]:
    return set(store.tables.read(table, columns=[column])[column].to_pylist()) - {None}


def found(store: Store, kind: str, identity: str, to: str) -> pa.Table:
    parts = list(trace(store, kind, identity, to))
    return pa.concat_tables(parts) if parts else pa.table({})


def test_every_kind_reaches_every_kind_and_itself(made: Store) -> None:
    store = with_model(made)
    shard = store.tables.read("shards", partitions=UNITS[0].partitions).sort_by("shard_index").to_pylist()[0]
    caption = find_caption(store, shard["first_caption_id"])
    image = store.tables.read("images", partitions=UNITS[0].partitions).to_pylist()[0]
    background = sorted(names_of(store, "enriched_captions", "background"))[0]
    ids = {
        "concept": f"fruit/{caption['concept']}",
        "caption": caption["caption_id"],
        "background": background,
        "generator": f"{caption['model']}@{caption['revision']}",
        "image": f"{caption['caption_id']}/1",
        "shard": shard["sha256"],
        "model": MODEL_ID,
        "score": f"{MODEL_ID}/sklearn_digits/linear_probe_accuracy",
    }
    own = {
        "concept": "concept",
        "caption": "caption_id",
        "shard": "sha256",
        "model": "model_id",
        "score": "score",
    }
    for kind, identity in ids.items():
        for to in KINDS:
            if (kind, to) == ("caption", "background"):
                continue  # not every caption has one
            table = found(store, kind, identity, to)
            assert table.num_rows or kind in ("background", "caption", "image", "concept"), (kind, to)
        if kind in own:
            assert identity.rpartition("/")[2] in "".join(
                map(str, found(store, kind, identity, kind)[own[kind]].to_pylist())
            )
    assert found(store, "image", image["sha256"], "caption")["caption_id"].to_pylist() == [
        image["caption_id"]
    ]
    assert found(store, "image", ids["image"], "model")["model_id"].to_pylist() == [MODEL_ID]


def test_forwards_and_backwards_agree_with_the_tables(made: Store) -> None:
    store = with_model(made)
    members = store.tables.read("shard_members").to_pylist()
    read = {row["caption_id"] for row in members if row["shard_index"] == 0}
    assert set(found(store, "model", MODEL_ID, "caption")["caption_id"].to_pylist()) == read
    corpus = {row["caption_id"]: row for row in store.tables.read("enriched_captions").to_pylist()}
    concepts = found(store, "model", MODEL_ID, "concept").to_pylist()
    told = {(row["bucket"], row["concept"]): row["captions"] for row in concepts}
    assert told == Counter((corpus[one]["bucket"], corpus[one]["concept"]) for one in read)
    assert found(store, "model", MODEL_ID, "image").num_rows == 4 * len(read)
    for one, row in corpus.items():
        reached = found(store, "caption", one, "model").num_rows
        assert bool(reached) == (one in read), row
    of_concept = found(store, "concept", "quince", "model").to_pylist()
    quinces = [one for one in read if corpus[one]["concept"] == "quince"]
    assert [row["captions"] for row in of_concept] == ([len(quinces)] if quinces else [])


def test_a_caption_is_found_by_the_index_and_before_its_bucket_is_packed(stages: Stages) -> None:
    fruit, patterns = UNITS
    stages.run_all(fruit)
    for stage in ("concepts", "captions"):
        stages.run(stage, patterns)
    store = stages.store
    assert index_captions(store) == [patterns]
    assert store.tables.count("caption_index") == store.tables.count("captions", partitions=fruit.partitions)
    for unit in UNITS:
        for one in store.tables.read("captions", partitions=unit.partitions)["caption_id"].to_pylist()[:3]:
            assert find_caption(store, one[:12])["caption_id"] == one
    for stage in ("enriched_captions", "images", "shards"):
        stages.run(stage, patterns)
    assert index_captions(store) == []
    version = store.tables.version("caption_index")
    assert index_captions(store) == []
    assert store.tables.version("caption_index") == version, "an index that is whole is left alone"
    ids = store.tables.read("caption_index")["caption_id"].to_pylist()
    assert sorted(ids) == sorted(store.tables.read("captions")["caption_id"].to_pylist())
    with pytest.raises(UnknownIdError, match="fits 34 captions"):
        find_caption(store, "")
    with pytest.raises(UnknownIdError, match="No caption 'ff00'"):
        find_caption(store, "ff00")


def test_generators_are_counted_in_uniform_and_in_mixed_files(store: Store) -> None:
    def rows(unit: Unit, models: list[str], revision: str = "r") -> None:
        made = [
            {
                **unit.partitions,
                "caption_id": f"{n:032x}",
                "model": model,
                "revision": revision,
                "licence": "l",
            }
            | {"fingerprint": "f"}
            for n, model in enumerate(models)
        ]
        store.tables.append(store.tables.open_or_create("images"), "images", rows_of("images", made))

    long = "x" * 70
    rows(Unit("a", 0), ["m"] * 3)
    rows(Unit("a", 0), ["m", "n"])
    rows(Unit("a", 1), [long + "1", long + "2", long + "2"])
    rows(Unit("b", 0), ["m"])
    counted = generators_of(store, "images", [Unit("a", 0), Unit("a", 1), Unit("c", 0)])
    told = {unit: [(row["model"], row["rows"]) for row in generators] for unit, generators in counted.items()}
    assert told == {
        Unit("a", 0): [("m", 4), ("n", 1)],
        Unit("a", 1): [(long + "1", 1), (long + "2", 2)],
        Unit("c", 0): [],
    }
    assert set(GENERATOR_COLUMNS) <= set(counted[Unit("a", 0)][0])


def test_a_sample_is_of_what_was_read(made: Store) -> None:
    store = with_model(made)
    model = model_lineage(store, MODEL_ID).model
    everything = {
        row["caption_id"]: row for part in captions_of_model(store, model) for row in part.to_pylist()
    }
    sample = sample_captions(store, model, 9)
    assert len(sample) == 9
    assert {row["shard_index"] for row in sample} == {0}
    for row in sample:
        assert everything[row["caption_id"]] == row
    assert sample_captions(store, model, 0) == []
    lineage = caption_lineage(store, sample[0]["caption_id"])
    assert [one["model_id"] for one in lineage.models] == [MODEL_ID]
    assert [score["value"] for score in lineage.models[0]["scores"]] == [0.9]


def test_the_command_lists_and_exports(made: Store, tmp_path: Path) -> None:
    store = with_model(made)
    place, runner = ["--store", str(tmp_path / "store")], CliRunner()
    for name in ("out.csv", "out.parquet"):
        arguments = ["lineage", "from", "concept", "quince", "--to", "image", "--show", "2"]
        said = runner.invoke(
            cli, [*arguments, "--export", str(tmp_path / name), *place], catch_exceptions=False
        )
        assert "caption_id=" in said.output
        assert f"... and {found(store, 'concept', 'quince', 'image').num_rows - 2} more" in said.output
    assert pq.read_table(tmp_path / "out.parquet").equals(found(store, "concept", "quince", "image"))
    assert (
        len((tmp_path / "out.csv").read_text().splitlines())
        == 1 + pq.read_metadata(tmp_path / "out.parquet").num_rows
    )
    with pytest.raises(LineageError, match="'tree' is no kind of thing"):
        found(store, "caption", "ab", "tree")
    with pytest.raises(LineageError, match="'tree' is no kind of thing"):
        found(store, "tree", "ab", "caption")
    with pytest.raises(UnknownIdError, match="No score"):
        found(store, "score", f"{MODEL_ID}/imagenet/accuracy", "model")
