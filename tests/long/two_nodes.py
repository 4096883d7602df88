"""`python -m tests.long.two_nodes`: a training on two machines through the Kubernetes indexed job.

A stand-in for the cluster starts the command of each pod as a process of this machine: two torchruns that meet over a
socket, one CPU process each, gloo. The weights must be those of two processes under one torchrun. About a minute.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg

from synclr_assets.compute import ComputeSection, StepCompute
from synclr_assets.launch import indexed_job
from synclr_assets.launch.process import CHILD, run_task
from synclr_assets.launch.tasks import FitTask
from synclr_train.config import Recipe
from tests.synclr_train.conftest import everything, write_shard

OWN_POD = {
    "metadata": {"name": "step", "uid": "u", "namespace": "team"},
    "spec": {"containers": [{"image": "synclr"}]},
}


class Cluster:
    """A BatchV1Api that starts each pod of an indexed job as a process."""

    def __init__(self) -> None:
        self.pods: list[subprocess.Popen[bytes]] = []

    def create_namespaced_job(self, namespace: str, body: dict[str, Any]) -> None:
        pod = body["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        head = f"{body['metadata']['name']}-0.{pod['subdomain']}"
        environment = {**os.environ, **{entry["name"]: entry["value"] for entry in container["env"]}}
        for index in range(body["spec"]["completions"]):
            command = [
                word.replace("$(JOB_COMPLETION_INDEX)", str(index)).replace(head, "127.0.0.1")
                for word in container["command"]
            ]
            self.pods.append(subprocess.Popen(command, env=environment))

    def read_namespaced_job_status(self, name: str, namespace: str) -> Any:
        codes = [pod.poll() for pod in self.pods]
        succeeded, failed = codes.count(0), sum(code not in (0, None) for code in codes)
        return SimpleNamespace(status=SimpleNamespace(succeeded=succeeded, failed=failed))

    def delete_namespaced_job(self, name: str, namespace: str, propagation_policy: str) -> None:
        for pod in self.pods:
            pod.kill()


def main() -> None:
    """Train twice and compare."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["OMP_NUM_THREADS"] = (
        "1"  # what torchrun sets for two processes and not for one: sums round as threads do
    )
    indexed_job.POLL_SECONDS = 1
    with tempfile.TemporaryDirectory() as name:
        shard = write_shard(Path(name) / "shapes-0-000000.tar", range(16), num_views=2)
        recipe = everything(steps=4, strategy="ddp")
        far = task_of(recipe, shard, Path(name) / "far", devices=1, nodes=2)
        near = task_of(recipe.varied(devices=2), shard, Path(name) / "near", devices=2, nodes=1)

        @dg.op
        def on_two_machines(context: dg.OpExecutionContext) -> None:
            asked = (StepCompute(), ComputeSection())
            indexed_job.run_on_nodes(context, far, CHILD, *asked, Cluster(), OWN_POD)

        @dg.op
        def on_one_machine(context: dg.OpExecutionContext) -> None:
            run_task(context, dg.PipesSubprocessClient(), near)

        @dg.job
        def both() -> None:
            on_two_machines()
            on_one_machine()

        with dg.DagsterInstance.ephemeral() as instance:
            run = both.execute_in_process(instance=instance)
            entries = instance.all_logs(run.run_id)
        for step in ("on_two_machines", "on_one_machine"):
            ends = [e for e in entries if e.step_key == step and "step 4 of 4" in e.user_message]
            assert len(ends) == 1, f"rank 0 of {step} speaks, and only it"
        results = [json.loads((Path(task.out_dir) / "result.json").read_text()) for task in (far, near)]
        assert results[0]["weights_sha256"] == results[1]["weights_sha256"]
        assert results[0]["samples_per_shard"] == results[1]["samples_per_shard"]
        print(f"two machines and one: the same weights {results[0]['weights_sha256'][:12]}")


def task_of(recipe: Recipe, shard: Path, out_dir: Path, *, devices: int, nodes: int) -> FitTask:
    """A training that leaves its files in a folder of its own."""
    out_dir.mkdir()
    content = recipe.model_dump(mode="json")
    return FitTask(
        recipe=content, shards=(str(shard),), out_dir=str(out_dir), seed=1, devices=devices, nodes=nodes
    )


if __name__ == "__main__":
    main()
