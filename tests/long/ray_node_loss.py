"""`python -m tests.long.ray_node_loss`: a bucket's dataset through Ray, and the node that draws its images is killed.

A Ray cluster of three raylets on this machine, two of them with a made-up GPU. The run must finish by its retry, and
every table and shard must equal those of an undisturbed run on the local engine. About two minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synclr_assets.defs.jobs import DATASET_JOB
from synclr_assets.launch.instance import prepare_home
from synclr_assets.launch.runs import Launcher
from synclr_assets.store.store import Store
from tests.long.raylets import kill_machine
from tests.synclr_assets.conftest import content_of, write_bank

CONCEPTS = "[digit one, digit two, digit three, mug, kite, drum]"
SETTINGS = "dataset: {image_captions_per_commit: 8, captions_per_commit: 64}"
COMPUTE = """
compute:
  steps:
    images: {gpus: 0.5, memory_gib: 1}
    concepts: {memory_gib: 1}
    captions: {memory_gib: 1}
    enriched_captions: {memory_gib: 1}
    syncaps_shards: {memory_gib: 1}
"""
DASHBOARD_PORT = 18265
STORE_BYTES = 80_000_000
DEADLINE_SECONDS = 420
STEP_COMMAND = {"api", "execute_step"}


def main() -> None:
    """On one network."""
    compare(f"http://127.0.0.1:{DASHBOARD_PORT}", LocalNodes, 600)


def compare(address: str, make_nodes: Callable[[], Any], num_captions: int) -> None:
    """Run undisturbed and on Ray, whose dashboard is at `address`; compare, print what happened."""
    bank = {"letters.yaml": f"captions: {num_captions}\nconcepts: {CONCEPTS}\n"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bank(folder / "concepts", bank)
        (folder / "quiet.yaml").write_text(SETTINGS)
        (folder / "ray.yaml").write_text(SETTINGS + COMPUTE)
        quiet = environment_of(folder, "quiet")
        Launcher({**os.environ, **quiet}).make_dataset("letters", None, lambda entry: None)
        print("undisturbed run: done", flush=True)
        disturbed = environment_of(folder, "ray") | {"SYNCLR_ENGINE": "ray", "RAY_ADDRESS": address}
        lose_a_node(folder, disturbed, make_nodes)
        expected, found = (content_of(Store(each["SYNCLR_STORE"])) for each in (quiet, disturbed))
        for table, rows in expected.items():
            assert found[table] == rows, table
        counts = {table: len(rows) for table, rows in expected.items() if rows}
        print(f"equal to the undisturbed run: {counts}")


def environment_of(folder: Path, name: str) -> dict[str, str]:
    """What a run reads: one bank and settings, its own store and instance."""
    home = folder / name / "dagster"
    home.mkdir(parents=True)
    return {
        "SYNCLR_CONCEPTS": str(folder / "concepts"),
        "SYNCLR_SETTINGS": str(folder / f"{name}.yaml"),
        "SYNCLR_STORE": str(folder / name / "store"),
        "DAGSTER_HOME": str(home),
    }


class LocalNodes:
    """Three raylets of one network: a head without cores and two workers with a made-up GPU."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        node: dict[str, Any] = {"object_store_memory": STORE_BYTES}
        head = {**node, "num_cpus": 0, "include_dashboard": True, "dashboard_port": DASHBOARD_PORT}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        added = [self._cluster.add_node(num_cpus=2, num_gpus=1, memory=4 * 2**30, **node) for _ in range(2)]
        self._workers = {worker.node_id: worker for worker in added}

    def lose(self, node_id: str) -> str:
        """Kill all that the node started, and say so. Raises AssertionError where the step ran elsewhere."""
        commands = kill_machine(self._cluster, self._workers[node_id])
        assert any(set(command) >= STEP_COMMAND for command in commands), "the step runs elsewhere"
        return f"killed its {len(commands)} processes, the step's own among them"

    def stop(self) -> None:
        """End what is left."""
        self._cluster.shutdown()


def lose_a_node(folder: Path, environment: Mapping[str, str], make_nodes: Callable[[], Any]) -> None:
    """Run the job on Ray and lose the node of step `images` while it draws."""
    prepare_home(Path(environment["DAGSTER_HOME"]))
    os.environ.update(environment)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # raylets start `dagster`
    from ray.job_submission import JobSubmissionClient

    nodes = make_nodes()
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "dagster", "job", "execute", "-m", "synclr_assets.definitions"),
            *("-j", DATASET_JOB, "--tags", json.dumps({"dagster/partition": "letters"})),
        ],
        env=dict(os.environ),
        stdout=(folder / "run.log").open("w"),
        stderr=subprocess.STDOUT,
    )
    try:
        client = JobSubmissionClient(environment["RAY_ADDRESS"])
        images = wait_for_drawing(client, Store(environment["SYNCLR_STORE"]), run)
        done = nodes.lose(images.driver_node_id)
        drawn = Store(environment["SYNCLR_STORE"]).tables.count("images")
        print(f"node {images.driver_node_id[:8]} of step images, at {drawn} images: {done}", flush=True)
        assert run.wait(timeout=DEADLINE_SECONDS) == 0, (folder / "run.log").read_text()[-4000:]
    finally:
        run.kill()
        nodes.stop()
    report(Path(environment["DAGSTER_HOME"]))


def wait_for_drawing(client: Any, store: Store, run: "subprocess.Popen[bytes]") -> Any:
    """The Ray job of step `images` once some images are committed and most are not."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline and run.poll() is None:
        if store.tables.count("images") > 0:
            for job in client.list_jobs():
                if (job.metadata or {}).get("dagster/op") == "images" and job.driver_node_id:
                    return job
        time.sleep(0.2)
    raise AssertionError("step images drew nothing on Ray before its run ended")


def report(home: Path) -> None:
    """Where steps ran and which was tried again. Raises AssertionError where none was."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (run,) = instance.get_runs()
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    retried = [event.step_key for event in events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert retried == ["images"], retried
    (event,) = [event for event in events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    print(f"retried: {retried}, because {event.step_retry_data.error.message}")
    print(f"run {run.status.value}")


if __name__ == "__main__":
    main()
