"""A real `synclr dev` over any number of buckets: what its processes hold, and how long the UI's questions take."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.defs.jobs import DATASET_ASSETS

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "synclr"}
PATIENCE_S = 300
QUESTIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "asset graph": (
        "{ assetNodes { assetKey { path } groupName dependencyKeys { path } isPartitioned } }",
        {},
    ),
    "asset graph, live": (
        "query($keys: [AssetKeyInput!]!) { assetNodes(assetKeys: $keys) { assetKey { path } staleStatus "
        "partitionStats { numMaterialized numMaterializing numPartitions numFailed } "
        "assetMaterializations(limit: 1) { timestamp runId } assetChecksOrError { ... on AssetChecks { "
        "checks { name executionForLatestMaterialization { status } } } } } }",
        {"keys": [{"path": [asset]} for asset in DATASET_ASSETS]},
    ),
    "partitions page": (
        'query { assetNodeOrError(assetKey: {path: ["images"]}) { ... on AssetNode { partitionKeysByDimension { '
        "partitionKeys } assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions "
        "failedPartitions materializingPartitions unmaterializedPartitions } } } } }",
        {},
    ),
    "one partition": (
        'query { assetNodeOrError(assetKey: {path: ["images"]}) { ... on AssetNode { staleStatus(partition: '
        '"b0001") staleCauses(partition: "b0001") { reason } latestMaterializationByPartition(partitions: '
        '["b0001"]) { timestamp metadataEntries { label } } } } }',
        {},
    ),
    "launch dialog": (
        'query { partitionSetsOrError(repositorySelector: {repositoryName: "__repository__", '
        'repositoryLocationName: "synclr"}, pipelineName: "dataset_of_bucket") { ... on PartitionSets { '
        "results { partitionsOrError { ... on Partitions { results { name } } } } } } }",
        {},
    ),
}
RELOAD: tuple[str, dict[str, Any]] = (
    'mutation { reloadRepositoryLocation(repositoryLocationName: "synclr") { __typename } }',
    {},
)
TICK: tuple[str, dict[str, Any]] = (
    "mutation($selector: SensorSelector!) { sensorDryRun(selectorData: $selector, cursor: null) { "
    "... on DryRunInstigationTick { evaluationResult { skipReason runRequests { runKey } "
    "error { message } } } ... on PythonError { message } } }",
    {"selector": {**REPOSITORY, "sensorName": "concept_files"}},
)


def materialise(home: Path, bank: ConceptBank, num_buckets: int) -> float:
    """Put events of all dataset assets of so many buckets into the instance's log; seconds per event."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        started = time.perf_counter()
        for bucket in list(bank.buckets)[:num_buckets]:
            for asset in DATASET_ASSETS:
                tags = {"dagster/data_version": f"g0-{bucket}"}
                event = dg.AssetMaterialization(
                    asset, partition=bucket, metadata={"generation": 0}, tags=tags
                )
                instance.report_runless_asset_event(event)
        return (time.perf_counter() - started) / (num_buckets * len(DATASET_ASSETS))


@dataclass(frozen=True)
class Platform:
    """A running `synclr dev`."""

    url: str
    process: subprocess.Popen[bytes]
    started_s: float
    """Until its first answer."""

    def ask(self, query: str, variables: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
        """The answer's data and the seconds it took."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        started = time.perf_counter()
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"], time.perf_counter() - started

    def memory_mib(self) -> dict[str, float]:
        """Resident memory by part: webserver, daemon, code servers."""
        held: dict[str, float] = {}
        for process_id in _descendants(self.process.pid):
            command = Path(f"/proc/{process_id}/cmdline").read_bytes().decode().replace("\0", " ")
            part = next(
                (name for name in ("webserver", "daemon", "code-server", "grpc") if name in command), None
            )
            if part is not None:
                status = Path(f"/proc/{process_id}/status").read_text()
                resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
                part = "code server" if part in ("code-server", "grpc") else part
                held[part] = held.get(part, 0.0) + int(resident.split()[1]) / 1024
        return held


@contextmanager
def running_platform(environment: Mapping[str, str], log: Path) -> Iterator[Platform]:
    """`synclr dev` on a free port, stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "synclr"), "dev", "--port", str(port)]
    started = time.perf_counter()
    with log.open("w") as written:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=written, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            assert process.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(f"{url}/server_info", timeout=PATIENCE_S):
                    break
            except OSError:
                time.sleep(0.1)
        yield Platform(url, process, time.perf_counter() - started)
    finally:
        process.terminate()  # the parent alone: it stops its webserver, daemon and code server itself
        process.wait(PATIENCE_S)


def _descendants(process_id: int) -> list[int]:
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    found = [int(child) for child in children]
    return [*found, *(deeper for child in found for deeper in _descendants(child))]
