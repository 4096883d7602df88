"""What each engine is told about each step: exact pods, tasks and Ray jobs, and who holds a GPU slot."""

import json
import subprocess
import sys
from typing import Any

import dagster as dg
import pytest

from synclr_assets.compute import STEPS, ComputeSection, StepCompute, Volume
from synclr_assets.definitions import build_definitions
from synclr_assets.defs.executors import executor_of, forwarded_variables
from synclr_assets.defs.placement import Placement
from synclr_assets.environment import engine_of
from synclr_assets.profiles import Profile, TrainerSection, cluster, gpu, rehearsal
from synclr_assets.store.errors import StoreError
from synclr_assets.synthesis.captioners import CaptionerSettings


def tags(profile: Profile, engine: str, step: str) -> dict[str, Any]:
    return Placement(profile, engine).of(step)["op_tags"]


def with_step(step: str, **asked: Any) -> Profile:
    return rehearsal().model_copy(update={"compute": ComputeSection(steps={step: StepCompute(**asked)})})


def test_cpu_work_never_holds_a_gpu_slot() -> None:
    def pooled(profile: Profile) -> set[str]:
        return {step for step in STEPS if "pool" in Placement(profile, "local").of(step)}

    gpu_steps = {"captions", "enriched_captions", "images", "checkpoint", "linear_probe", "segmentation"}
    assert pooled(rehearsal()) == set()
    assert pooled(gpu()) == gpu_steps
    served = gpu().model_copy(update={"captioner": CaptionerSettings(kind="openai_compatible")})
    assert pooled(served) == gpu_steps - {"captions", "enriched_captions"}


@pytest.mark.parametrize("engine", ["k8s", "ecs", "ray"])
def test_every_step_is_tagged_and_retried_on_a_cluster(engine: str) -> None:
    for profile in (rehearsal(), cluster()):
        for step in STEPS:
            arguments = Placement(profile, engine).of(step)
            assert arguments["op_tags"], step
            assert arguments["retry_policy"].max_retries >= 3


def test_a_pod_gets_its_gpus_its_memory_its_node_its_volumes_and_may_be_spot() -> None:
    section = ComputeSection(
        steps={
            "images": StepCompute(cpus=7, memory_gib=48, gpus=1, spot=True, node_selector={"pool": "a100"})
        },
        volumes=(Volume(name="weights", claim="weights-cache", mount_path="/root/.cache/huggingface"),),
    )
    config = tags(rehearsal().model_copy(update={"compute": section}), "k8s", "images")["dagster-k8s/config"]
    container, pod = config["container_config"], config["pod_spec_config"]
    assert container["resources"] == {
        "requests": {"cpu": "7", "memory": "48Gi"},
        "limits": {"memory": "48Gi", "nvidia.com/gpu": "1"},
    }
    assert {mount["mount_path"] for mount in container["volume_mounts"]} == {
        "/root/.cache/huggingface",
        "/dev/shm",
    }
    assert pod["node_selector"] == {"pool": "a100"}
    assert {toleration["key"] for toleration in pod["tolerations"]} == {
        "nvidia.com/gpu",
        "cloud.google.com/gke-spot",
        "kubernetes.azure.com/scalesetpriority",
    }
    assert config["job_spec_config"] == {"backoff_limit": 0}


def test_a_pod_without_a_gpu_tolerates_no_gpu_node() -> None:
    config = tags(rehearsal(), "k8s", "captions")["dagster-k8s/config"]
    assert config["pod_spec_config"] == {"node_selector": {}, "tolerations": [], "volumes": []}
    assert "nvidia.com/gpu" not in config["container_config"]["resources"]["limits"]


def test_spot_steps_are_tried_more_often() -> None:
    placement = Placement(with_step("images", spot=True, max_retries=2), "k8s")
    assert placement.of("images")["retry_policy"].max_retries == 12


def test_an_ecs_task_gets_units_mebibytes_and_whole_gpus() -> None:
    told = tags(
        with_step("images", cpus=4, memory_gib=16, gpus=2, capacity_provider="gpu-asg"), "ecs", "images"
    )
    assert (told["ecs/cpu"], told["ecs/memory"]) == ("4096", "16384")
    assert json.loads(told["ecs/container_overrides"]) == {
        "resourceRequirements": [{"type": "GPU", "value": "2"}]
    }
    assert json.loads(told["ecs/run_task_kwargs"]) == {
        "capacityProviderStrategy": [{"capacityProvider": "gpu-asg"}]
    }


def test_ray_may_share_a_gpu_and_others_may_not() -> None:
    half = with_step("images", gpus=0.5, memory_gib=2)
    assert tags(half, "ray", "images") == {
        "dagster-ray/config": {"num_cpus": 1, "num_gpus": 0.5, "memory": 2 * 2**30}
    }
    for engine in ("local", "k8s", "ecs"):
        with pytest.raises(ValueError, match=rf"images.gpus is 0.5, but engine {engine} gives whole GPUs"):
            Placement(half, engine)


def test_a_training_over_several_gpus_is_asked_for_as_such() -> None:
    profile = rehearsal().model_copy(update={"trainer": TrainerSection(gpus=8)})
    limits = tags(profile, "k8s", "checkpoint")["dagster-k8s/config"]["container_config"]["resources"][
        "limits"
    ]
    assert limits["nvidia.com/gpu"] == "8"
    assert profile.step("linear_probe").gpus == 1


def test_a_step_that_is_no_asset_is_refused() -> None:
    with pytest.raises(ValueError, match="pictures is no asset: use concepts, captions"):
        ComputeSection(steps={"pictures": StepCompute()})


def test_the_cluster_profile_needs_an_engine() -> None:
    with pytest.raises(
        StoreError, match="cluster needs an engine: set SYNCLR_ENGINE to one of k8s, ecs, ray"
    ):
        engine_of({"SYNCLR_PROFILE": "cluster"})
    with pytest.raises(StoreError, match="SYNCLR_ENGINE='slurm' is no engine"):
        engine_of({"SYNCLR_ENGINE": "slurm"})


@pytest.mark.parametrize(("engine", "name"), [("k8s", "k8s"), ("ecs", "ecs"), ("ray", "ray")])
def test_the_graph_loads_under_every_engine(tmp_path: Any, engine: str, name: str) -> None:
    environment = {
        "SYNCLR_CONCEPTS": str(tmp_path),
        "SYNCLR_PROFILE": "cluster",
        "SYNCLR_ENGINE": engine,
    }
    definitions = build_definitions(environment)
    assert isinstance(definitions.executor, dg.ExecutorDefinition)
    assert definitions.executor.name == name


def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dagster_k8s", None)
    with pytest.raises(ValueError, match=r"needs dagster_k8s, .*: pip install 'synclr\[k8s\]'"):
        executor_of("k8s", {})


def test_the_local_engine_loads_no_cluster_library(tmp_path: Any) -> None:
    program = (
        "import json, sys; import synclr_assets.definitions as d;"
        f"d.build_definitions({{'SYNCLR_CONCEPTS': {str(tmp_path)!r}, 'SYNCLR_PROFILE': 'gpu'}});"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(json.loads(answer.stdout)) & {"kubernetes", "dagster_k8s", "dagster_aws", "boto3", "ray"}


def test_ray_jobs_are_given_no_secret() -> None:
    environment = {"SYNCLR_STORE": "s3://b", "AWS_SECRET_ACCESS_KEY": "x", "OPENAI_API_KEY": "y", "PATH": "/"}
    assert forwarded_variables(environment) == ["SYNCLR_STORE", "DAGSTER_HOME"]
