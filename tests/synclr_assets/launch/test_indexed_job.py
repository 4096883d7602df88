"""A training on several machines as Kubernetes is told of it, and how its end is read."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml

from synclr_assets.compute import ComputeSection, StepCompute
from synclr_assets.defs.placement import Placement
from synclr_assets.launch import indexed_job
from synclr_assets.launch.indexed_job import NodesFailedError, run_on_nodes, training_job
from synclr_assets.launch.process import CHILD
from synclr_assets.launch.tasks import FitTask
from synclr_assets.profiles import TrainerSection, rehearsal

OWN_POD = {
    "metadata": {"name": "step-pod", "uid": "u-1", "namespace": "team"},
    "spec": {
        "serviceAccountName": "dagster",
        "containers": [
            {
                "image": "synclr:1",
                "env": [{"name": "SYNCLR_STORE", "value": "s3://b"}],
                "envFrom": [{"secretRef": {"name": "synclr-store"}}],
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            }
        ],
        "volumes": [{"name": "scratch", "persistentVolumeClaim": {"claimName": "scratch"}}],
    },
}
STEP = StepCompute(cpus=88, memory_gib=512, gpus=8, node_selector={"pool": "h100"})
SERVICE = Path(__file__).parents[3] / "deploy" / "kubernetes" / "training-service.yaml"


@pytest.fixture
def fit_task(tmp_path: Path) -> FitTask:
    return FitTask(recipe={}, shards=(), out_dir=str(tmp_path), seed=1, devices=8, nodes=4)


@pytest.fixture
def job(fit_task: FitTask) -> dict[str, Any]:
    variables = {"DAGSTER_PIPES_CONTEXT": "c"}
    return training_job("fit-1", fit_task, CHILD, STEP, ComputeSection(), OWN_POD, variables)


def test_it_is_an_indexed_job_of_one_pod_per_machine_that_kubernetes_does_not_retry(
    job: dict[str, Any],
) -> None:
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert spec["backoffLimit"] == 0
    assert [owner["uid"] for owner in job["metadata"]["ownerReferences"]] == ["u-1"]


def test_its_pods_are_the_steps_pod_with_gpus(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "synclr:1"
    assert container["resources"]["limits"] == {"memory": "512Gi", "nvidia.com/gpu": "8"}
    assert {entry["name"] for entry in container["env"]} == {"SYNCLR_STORE", "DAGSTER_PIPES_CONTEXT"}
    assert container["envFrom"] == [{"secretRef": {"name": "synclr-store"}}]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/scratch", "/dev/shm"}
    assert {v["name"] for v in pod["volumes"]} == {m["name"] for m in container["volumeMounts"]}
    assert pod["nodeSelector"] == {"pool": "h100"}
    assert [toleration["key"] for toleration in pod["tolerations"]] == ["nvidia.com/gpu"]


def test_its_pods_meet_at_the_first_one_through_the_shipped_service(job: dict[str, Any]) -> None:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    service = yaml.safe_load(SERVICE.read_text())
    assert "--node-rank=$(JOB_COMPLETION_INDEX)" in container["command"]
    assert f"--master-addr=fit-1-0.{service['metadata']['name']}" in container["command"]
    (port,) = service["spec"]["ports"]
    assert f"--master-port={port['port']}" in container["command"]
    assert {"--nnodes=4", "--nproc-per-node=8"} <= set(container["command"])
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["clusterIP"] == "None"


class Cluster:
    """A BatchV1Api whose job goes through the given states."""

    def __init__(self, *states: tuple[int, int]) -> None:
        self.calls: list[str] = []
        self._states = iter(states)

    def create_namespaced_job(self, namespace: str, body: dict[str, Any]) -> None:
        self.calls.append(f"create in {namespace}")

    def read_namespaced_job_status(self, name: str, namespace: str) -> Any:
        succeeded, failed = next(self._states)
        return SimpleNamespace(status=SimpleNamespace(succeeded=succeeded or None, failed=failed or None))

    def delete_namespaced_job(self, name: str, namespace: str, propagation_policy: str) -> None:
        self.calls.append(f"delete {propagation_policy}")


@pytest.fixture
def train_on(fit_task: FitTask, monkeypatch: pytest.MonkeyPatch) -> Callable[[Cluster], None]:
    monkeypatch.setattr(indexed_job, "POLL_SECONDS", 0)

    def train(cluster: Cluster) -> None:
        @dg.op
        def checkpoint(context: dg.OpExecutionContext) -> None:
            run_on_nodes(context, fit_task, CHILD, STEP, ComputeSection(), cluster, OWN_POD)

        @dg.job
        def training() -> None:
            checkpoint()

        training.execute_in_process()

    return train


def test_the_step_waits_for_all_pods_and_cleans_up(train_on: Callable[[Cluster], None]) -> None:
    cluster = Cluster((0, 0), (3, 0), (4, 0))
    train_on(cluster)
    assert cluster.calls == ["create in team", "delete Background"]


def test_a_failed_pod_fails_the_step_and_ends_the_others(train_on: Callable[[Cluster], None]) -> None:
    cluster = Cluster((1, 1))
    with pytest.raises(NodesFailedError, match="read the logs of its pods"):
        train_on(cluster)
    assert cluster.calls[-1] == "delete Background"


def test_the_step_itself_asks_for_no_gpu_and_other_engines_refuse() -> None:
    profile = rehearsal().model_copy(update={"trainer": TrainerSection(gpus=8, nodes=4)})
    config = Placement(profile, "k8s").of("checkpoint")["op_tags"]["dagster-k8s/config"]
    assert "nvidia.com/gpu" not in config["container_config"]["resources"]["limits"]
    on_ray = Placement(profile, "ray").of("checkpoint")["op_tags"]["dagster-ray/config"]
    assert on_ray["num_gpus"] == 0
    with pytest.raises(ValueError, match=r"trainer\.nodes is 4, but engine ecs trains on one machine"):
        Placement(profile, "ecs")
