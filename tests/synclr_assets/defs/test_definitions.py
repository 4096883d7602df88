"""The asset graph that a newcomer sees, for good banks and bad ones, loaded without torch."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from synclr_assets.definitions import build_definitions
from synclr_assets.store.errors import StoreError
from tests.synclr_assets.conftest import TINY_BANK, write_bank

GRAPH = {
    "concepts": ("corpus", set()),
    "captions": ("corpus", {"concepts"}),
    "enriched_captions": ("corpus", {"captions"}),
    "images": ("dataset", {"enriched_captions"}),
    "syncaps_shards": ("dataset", {"images", "enriched_captions"}),
    "checkpoint": ("model", {"syncaps_shards"}),
    "linear_probe": ("model", {"checkpoint"}),
    "segmentation": ("model", {"checkpoint"}),
}
BY_BUCKET = {"concepts", "captions", "enriched_captions", "images", "syncaps_shards"}


def definitions_of(folder: Path, **environment: str) -> dg.Definitions:
    return build_definitions({"SYNCLR_CONCEPTS": str(folder), **environment})


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    write_bank(tmp_path, TINY_BANK)
    return definitions_of(tmp_path)


def test_the_graph_is_concepts_to_scores(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    seen = {
        node.key.to_user_string(): (node.group_name, {parent.to_user_string() for parent in node.parent_keys})
        for node in graph.asset_nodes
    }
    assert seen == GRAPH


def test_every_asset_says_what_it_is_and_who_owns_it(definitions: dg.Definitions) -> None:
    for node in definitions.resolve_asset_graph().asset_nodes:
        assert len(node.description or "") > 100, node.key
        assert node.owners, node.key
        assert node.kinds, node.key
        assert "dagster/code_references" in node.metadata, node.key


def test_data_is_by_bucket_and_models_by_slice(definitions: dg.Definitions) -> None:
    for node in definitions.resolve_asset_graph().asset_nodes:
        assert node.partitions_def is not None
        keys = set(node.partitions_def.get_partition_keys())
        if node.key.to_user_string() in BY_BUCKET:
            assert keys == {"fruit", "patterns"}
        else:
            assert keys == {"all", "everything", "fruit", "patterns"}


def test_every_stage_has_checks_and_those_before_another_stage_block(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    blocking = dict.fromkeys(GRAPH, 0)
    for key in graph.asset_check_keys:
        blocking[key.asset_key.to_user_string()] += graph.get(key).blocking
    assert all(blocking[name] for name in BY_BUCKET | {"checkpoint"}), blocking
    assert {key.asset_key.to_user_string() for key in graph.asset_check_keys} == set(GRAPH)


def test_no_run_of_buckets_reads_the_whole_store(definitions: dg.Definitions) -> None:
    whole_store = {"buckets_are_up_to_date", "models_are_up_to_date"}

    def checks_of(job: dg.JobDefinition) -> set[str]:
        return {key.name for key in job.asset_layer.asset_graph.asset_check_keys}

    def everything() -> dg.JobDefinition:
        return definitions.resolve_implicit_global_asset_job_def()

    for assets in ({"syncaps_shards"}, {"images", "syncaps_shards"}, BY_BUCKET):
        chosen = {dg.AssetKey(name) for name in assets}
        assert not checks_of(everything().get_subset(asset_selection=chosen)) & whole_store
    for name in ("dataset_of_bucket", "model_of_slice"):
        checks = checks_of(definitions.resolve_job_def(name))
        assert checks
        assert not checks & whole_store
    assert checks_of(definitions.resolve_job_def("look_at_freshness")) == whole_store


def test_loading_warns_of_nothing(tmp_path: Path) -> None:
    write_bank(tmp_path, TINY_BANK)
    program = (
        "import synclr_assets.definitions as d;"
        f"d.build_definitions({{'SYNCLR_CONCEPTS': {str(tmp_path)!r}}}).get_repository_def().get_all_jobs()"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stderr == ""


def test_a_bad_file_leaves_the_good_buckets_and_is_itself_visible(tmp_path: Path) -> None:
    write_bank(tmp_path, TINY_BANK | {"birds.yaml": "captions: heavy\nconcepts: [owl]\n"})
    definitions = definitions_of(tmp_path)
    concepts = definitions.resolve_asset_graph().get(dg.AssetKey("concepts"))
    assert concepts.partitions_def is not None
    assert set(concepts.partitions_def.get_partition_keys()) == {"fruit", "patterns"}
    assert "birds.yaml, captions" in (concepts.description or "")
    assert definitions.metadata is not None
    assert definitions.metadata["files refused"].value == 1


@pytest.mark.parametrize("files", [{}, {"birds.yaml": "not: [valid"}])
def test_a_bank_without_a_good_bucket_still_loads(tmp_path: Path, files: dict[str, str]) -> None:
    write_bank(tmp_path, files)
    assert definitions_of(tmp_path).resolve_asset_graph().get(dg.AssetKey("concepts"))


def test_an_unknown_profile_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="SYNCLR_PROFILE='gpus' is no profile: choose one of rehearsal"):
        definitions_of(tmp_path, SYNCLR_PROFILE="gpus")


def test_the_code_location_loads_without_torch(tmp_path: Path) -> None:
    write_bank(tmp_path, TINY_BANK)
    program = (
        "import json, sys; import synclr_assets.definitions as d;"
        f"d.build_definitions({{'SYNCLR_CONCEPTS': {str(tmp_path)!r}}}).resolve_asset_graph();"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(json.loads(answer.stdout))
    heavy = {"torch", "transformers", "diffusers", "timm", "lightning", "sklearn", "matplotlib", "openai"}
    heavy |= {"openlineage"}
    assert not loaded & heavy
