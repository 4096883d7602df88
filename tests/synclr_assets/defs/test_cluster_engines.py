"""Runs on Kubernetes and on ECS, driven end to end: the cluster is a stand-in that starts containers' commands."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository

from synclr_assets.defs.jobs import DATASET_JOB
from synclr_assets.store.store import Store
from tests.synclr_assets.conftest import write_bank

DEPLOY = Path(__file__).parents[3] / "deploy"
SETTINGS = """
compute:
  steps:
    concepts: {cpus: 0.5, memory_gib: 2}
    captions: {cpus: 4, memory_gib: 16, gpus: 1, spot: true, node_selector: {pool: a100}}
    enriched_captions: {memory_gib: 3}
  volumes: [{name: weights, claim: weights-cache, mount_path: /weights}]
"""
IMAGE = "registry.example.com/synclr:0.1.0"


class Containers:
    """Starts the command of a container as a process of this machine, and reads how it ended."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        programs = (
            f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # an image has them on its PATH
        )
        given = {**os.environ, **environment, "PATH": programs}
        program = shutil.which(command[0], path=programs)
        assert program is not None, command[0]
        self._processes[name] = subprocess.Popen(
            [program, *command[1:]], env=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def exit_code(self, name: str) -> int | None:
        return self._processes[name].poll()

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def containers() -> Iterator[Containers]:
    started = Containers()
    yield started
    started.stop()


@pytest.fixture
def run_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dg.DagsterInstance]:
    """Executes the first stages of a bucket on an engine, on an instance with that engine's run launcher."""

    def run(engine: str, launcher: dict[str, Any], assets: Sequence[str]) -> dg.DagsterInstance:
        write_bank(tmp_path / "concepts", {"weave.yaml": "captions: 6\nconcepts: [mug, kite]\n"})
        (tmp_path / "settings.yaml").write_text(SETTINGS)
        home = tmp_path / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text(yaml.safe_dump({"run_launcher": launcher}))
        values = {
            "SYNCLR_CONCEPTS": str(tmp_path / "concepts"),
            "SYNCLR_STORE": str(tmp_path / "store"),
            "SYNCLR_SETTINGS": str(tmp_path / "settings.yaml"),
            "SYNCLR_ENGINE": engine,
            "DAGSTER_HOME": str(home),
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        location = ReconstructableRepository.for_module(
            "synclr_assets.definitions", fn_name="synclr", container_image=IMAGE
        )
        instance = dg.DagsterInstance.from_config(str(home))
        result = dg.execute_job(
            location.get_reconstructable_job(DATASET_JOB),
            instance,
            tags={"dagster/partition": "weave"},
            asset_selection=[dg.AssetKey(asset) for asset in assets],
        )
        assert result.success
        assert Store(tmp_path / "store").tables.count("captions") == 6
        return instance

    return run


def test_on_kubernetes_every_step_is_a_job_of_its_own_with_what_it_asked_for(
    run_job: Callable[..., dg.DagsterInstance], containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    jobs: dict[str, Any] = {}

    class Cluster:
        def create_namespaced_job_with_retries(self, body: Any, namespace: str) -> None:
            (container,) = body.spec.template.spec.containers
            jobs[body.metadata.labels["dagster/op"]] = (body, container, namespace)
            given = {entry.name: entry.value for entry in container.env if entry.value is not None}
            del given["DAGSTER_HOME"]  # the pod's is in its image; the process has this test's
            containers.start(body.metadata.name, container.args, given)

        def get_job_status(self, job_name: str, namespace: str) -> Any:
            code = containers.exit_code(job_name)
            ended = code is not None
            return kubernetes.client.V1JobStatus(failed=int(bool(code)), active=int(not ended))

        def get_pod_by_name(self, pod_name: str, namespace: str) -> Any:
            return kubernetes.client.V1Pod(
                metadata=kubernetes.client.V1ObjectMeta(name=pod_name, uid="run-pod")
            )

    monkeypatch.setattr(kubernetes.config, "load_incluster_config", lambda: None)
    monkeypatch.setattr(
        "dagster_k8s.client.DagsterKubernetesClient.production_client", lambda *args, **options: Cluster()
    )
    monkeypatch.setattr("dagster_k8s.utils.detect_current_namespace", lambda *args: "team")
    monkeypatch.setenv("HOSTNAME", "the-run")
    launcher = {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {
            "service_account_name": "dagster",
            "instance_config_map": "dagster-instance",
            "dagster_home": "/opt/dagster/dagster_home",
            "job_namespace": "team",
            "load_incluster_config": True,
        },
    }
    with run_job("k8s", launcher, ["concepts", "captions"]):
        assert set(jobs) == {"concepts", "captions"}
    job, container, namespace = jobs["captions"]
    pod = job.spec.template.spec
    assert namespace == "team"
    assert container.image == IMAGE
    assert container.resources.limits == {"memory": "16Gi", "nvidia.com/gpu": "1"}
    assert container.resources.requests == {"cpu": "4", "memory": "16Gi"}
    assert pod.node_selector == {"pool": "a100"}
    assert {toleration.key for toleration in pod.tolerations} >= {
        "nvidia.com/gpu",
        "cloud.google.com/gke-spot",
    }
    claims = {v.name: v.persistent_volume_claim.claim_name for v in pod.volumes if v.persistent_volume_claim}
    assert claims == {"weights": "weights-cache"}
    assert pod.service_account_name == "dagster"
    assert job.spec.backoff_limit == 0
    assert [owner.uid for owner in job.metadata.owner_references] == ["run-pod"]
    limits = jobs["concepts"][1].resources.limits
    assert limits == {"memory": "2Gi"}, "a CPU step asks for no GPU"


def test_on_ecs_every_step_is_a_task_and_none_inherits_from_the_step_before(
    run_job: Callable[..., dg.DagsterInstance], containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto")
    from dagster_aws.ecs import executor
    from dagster_aws.ecs.tasks import CurrentEcsTaskMetadata

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    asked: dict[str, dict[str, Any]] = {}
    with moto.mock_aws():
        ec2, ecs = boto3.resource("ec2"), boto3.client("ecs")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")
        vpc.modify_attribute(EnableDnsHostnames={"Value": True})
        subnet = vpc.create_subnet(CidrBlock="10.0.0.0/24")
        cluster = ecs.create_cluster(clusterName="synclr")["cluster"]
        definition = json.loads((DEPLOY / "ecs" / "task-definition.json").read_text())
        registered = ecs.register_task_definition(**definition)["taskDefinition"]
        launcher = yaml.safe_load((DEPLOY / "ecs" / "dagster.yaml").read_text())["run_launcher"]
        network = {"awsvpcConfiguration": {"subnets": [subnet.id], "securityGroups": []}}
        launcher["config"]["run_task_kwargs"]["networkConfiguration"] = network
        monkeypatch.setenv("SYNCLR_TASK_DEFINITION", registered["family"])
        host = {"launchType": "FARGATE", "networkConfiguration": network}
        current = ecs.run_task(cluster="synclr", taskDefinition=registered["family"], **host)["tasks"][0]
        monkeypatch.setattr(
            executor,
            "get_current_ecs_task_metadata",
            lambda: CurrentEcsTaskMetadata(cluster["clusterArn"], current["taskArn"]),
        )
        original = executor.run_ecs_task

        def run_and_start(client: Any, arguments: dict[str, Any]) -> Any:
            task = original(client, {"launchType": "FARGATE", **arguments})
            (container,) = arguments["overrides"]["containerOverrides"]
            step = next(tag["value"] for tag in arguments["tags"] if tag["key"] == "dagster/step-key")
            asked[step] = arguments
            given = {entry["name"]: entry["value"] for entry in container["environment"]}
            containers.start(task["taskArn"], container["command"], given)
            return task

        monkeypatch.setattr(executor, "run_ecs_task", run_and_start)
        with run_job("ecs", launcher, ["concepts", "captions", "enriched_captions"]):
            assert set(asked) == {"concepts", "captions", "enriched_captions"}
        running = ecs.describe_tasks(cluster="synclr", tasks=ecs.list_tasks(cluster="synclr")["taskArns"])
        assert len(running["tasks"]) == 4, "the run's own task and one for each step"
    overrides = {step: arguments["overrides"] for step, arguments in asked.items()}
    assert {step: (o["cpu"], o["memory"]) for step, o in overrides.items()} == {
        "concepts": ("512", "2048"),
        "captions": ("4096", "16384"),
        "enriched_captions": ("1024", "3072"),
    }
    gpus = {step: o["containerOverrides"][0]["resourceRequirements"] for step, o in overrides.items()}
    assert gpus == {
        "concepts": [],
        "captions": [{"type": "GPU", "value": "1"}],
        "enriched_captions": [],
    }
    assert {o["containerOverrides"][0]["name"] for o in overrides.values()} == {"synclr"}
