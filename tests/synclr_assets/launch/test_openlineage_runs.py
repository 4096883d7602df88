"""What a lineage server on a socket learns of whole Dagster runs: a graph from bucket file to score, and failures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synclr_assets.launch.runs import Launcher, RunFailedError
from synclr_assets.provenance.models import models
from synclr_assets.store.schemas import TABLES
from synclr_assets.store.store import Store
from tests.synclr_assets.conftest import platform_environment
from tests.synclr_assets.launch.test_runs import ignore
from tests.synclr_assets.provenance.openlineage_server import LineageServer, check_event, lineage_server

BANK = {"letters.yaml": "captions: 40\nconcepts: [digit one, digit two, digit three, mug]\n"}
SECRETS = {
    "OPENAI_API_KEY": "sk-not-to-be-told-1",
    "SYNCLR_ALERT_WEBHOOK": "http://127.0.0.1:9/hook-not-to-be-told",
}
DATA_STAGES = ("concepts", "captions", "enriched_captions", "images", "syncaps_shards")
Node = tuple[str, str, str]
"""Namespace, name and version of a dataset."""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return platform_environment(tmp_path, monkeypatch, BANK, **SECRETS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LineageServer]:
    """Named by OPENLINEAGE_URL."""
    with lineage_server() as one:
        monkeypatch.setenv("OPENLINEAGE_URL", one.url)
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TRANSPORTS__DEFAULT_HTTP__TYPE", "http")
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TRANSPORTS__DEFAULT_HTTP__URL", one.url)
        yield one


def node(dataset: dict[str, Any]) -> Node:
    return dataset["namespace"], dataset["name"], dataset["facets"]["version"]["datasetVersion"]


def reached_from(start: Node, events: list[dict[str, Any]]) -> set[Node]:
    """Every dataset version that was made from the given one, by the runs that read one and wrote the other."""
    reached, last = {start}, 0
    while len(reached) > last:
        last = len(reached)
        for event in events:
            if reached & set(map(node, event["inputs"])):
                reached |= set(map(node, event["outputs"]))
    return reached


def test_a_chain_is_one_graph_from_bucket_file_to_score_with_exact_generations(
    environment: dict[str, str], server: LineageServer, tmp_path: Path
) -> None:
    launcher = Launcher(environment)
    run_ids = [launcher.make_dataset("letters", generation, ignore).run_id for generation in (0, 1)]
    scored = launcher.make_model(
        "letters",
        ignore,
        checkpoint={"steps": 2},
        evaluation={"split": "validation"},
        assets=("checkpoint", "linear_probe"),
    )
    for event in server.events:
        check_event(event)
    for value in SECRETS.values():
        assert not any(value.encode() in body for body in server.bodies)

    ends = [event for event in server.events if event["eventType"] == "COMPLETE"]
    begun = [event for event in server.events if event["eventType"] == "START"]
    assert [event["run"]["runId"] for event in begun] == [event["run"]["runId"] for event in ends]
    assert len({event["run"]["runId"] for event in ends}) == len(ends)
    names = [event["job"]["name"] for event in ends]
    wanted = [f"{stage}.letters" for stage in (*DATA_STAGES, *DATA_STAGES, "checkpoint", "linear_probe")]
    assert names == wanted
    parents = [event["run"]["facets"]["parent"]["run"]["runId"] for event in ends]
    assert parents == [run_ids[0]] * 5 + [run_ids[1]] * 5 + [scored.run_id] * 2

    folder = tmp_path / "store"
    (model,) = models(Store(folder))
    training, probe = ends[-2:]
    shards = ("file", f"{folder}/tables/shards/bucket=letters", "1")
    assert [node(one) for one in training["inputs"]] == [shards]
    trained = ("file", f"{folder}/models/{model['model_id']}", model["weights_sha256"])
    assert trained in [node(one) for one in training["outputs"]]
    (scores,) = map(node, probe["outputs"])
    assert scores[1].endswith(f"evals/model_id={model['model_id']}/linear_probe")

    (file,) = {node(one) for event in ends[:1] for one in event["inputs"]}
    assert file[:2] == ("file", str(tmp_path / "concepts" / "letters.yaml"))
    first, second = reached_from(file, ends[:5]), reached_from(file, ends[5:])
    assert scores in second
    assert {version for _, name, version in first if name.startswith(f"{folder}/tables")} == {"0"}
    assert first & second == {file}, "generations share no dataset version but the file they come from"

    images = next(one for one in ends[3]["outputs"] if node(one)[1].endswith("tables/images/bucket=letters"))
    assert images["outputFacets"]["outputStatistics"]["rowCount"] == 160
    assert images["outputFacets"]["outputStatistics"]["size"] > 0
    told = {one["name"]: one["description"] for one in images["facets"]["schema"]["fields"]}
    assert told == {name: about for name, _, about in TABLES["images"].columns}
    assert images["facets"]["ownership"]["owners"][0]["name"] == "team:dataset"
    tests = {one["name"]: one["status"] for one in ends[3]["run"]["facets"]["test"]["tests"]}
    assert tests["positive_groups_are_sound"] == "pass"


def test_a_failing_stage_is_told_with_its_cause(environment: dict[str, str], server: LineageServer) -> None:
    launcher = Launcher(environment)
    with pytest.raises(RunFailedError):
        launcher.make_stage("captions", ["letters"], ignore)
    start, end = server.events
    check_event(end)
    assert (start["eventType"], end["eventType"]) == ("START", "FAIL")
    assert start["run"]["runId"] == end["run"]["runId"]
    assert end["job"]["name"] == "captions.letters"
    message = end["run"]["facets"]["errorMessage"]["message"]
    assert message.startswith("StoreError: Bucket letters has no generation yet")


def warnings_of(launcher: Launcher) -> list[str]:
    """Make the bucket's concepts and captions; what was warned of."""
    seen: list[str] = []

    def look(entry: dg.EventLogEntry) -> None:
        if "OpenLineage" in entry.user_message and entry.dagster_event is None:
            seen.append(entry.user_message)

    for stage in ("concepts", "captions"):
        launcher.make_stage(stage, ["letters"], look)
    return seen


def test_a_server_that_refuses_costs_one_warning_and_no_stage(
    environment: dict[str, str], server: LineageServer
) -> None:
    server.status = 400
    (warning,) = warnings_of(Launcher(environment))
    assert warning.startswith("No OpenLineage event was sent")
    assert len(server.bodies) == 1, "after a failure a minute passes in silence"
    assert Store(environment["SYNCLR_STORE"]).tables.count("captions") == 40


def test_a_missing_package_is_one_sentence(
    environment: dict[str, str], server: LineageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "openlineage"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("synclr_assets.provenance.openlineage")]:
        if not name.endswith("client"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openlineage", None)
    assert warnings_of(Launcher(environment)) == [
        "OpenLineage is configured, but its package is missing: pip install 'synclr[lineage]'."
    ]
