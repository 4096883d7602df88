"""Telling Dagster and the engine what a step asks for: its pool, its retries, its op tags.

Every step is tagged, those that ask for little too: dagster-aws keeps what an earlier step of the run was given.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from synclr_assets.compute import GPU_POOL, STEPS, ComputeSection, StepCompute
from synclr_assets.profiles import Profile

ECS_UNITS_PER_CPU = 1024
MIB_PER_GIB = 1024
RETRY_DELAY_SECONDS = 20
SPOT_RETRIES = 10
SHARED_MEMORY = "shared-memory"
Tags = dict[str, Any]


class Placement:
    """Where the steps of one profile run on one engine."""

    def __init__(self, profile: Profile, engine: str) -> None:
        self._steps = {name: profile.step(name) for name in STEPS}
        self._section = profile.compute
        self._engine = engine
        for name, step in self._steps.items():
            _check_fraction(name, step, engine)
        if profile.trainer.nodes > 1:
            self._leave_gpus_to_nodes(profile.trainer.nodes)

    def of(self, step: str) -> dict[str, Any]:
        """Arguments of `dg.asset` for the step: a pool where it has a GPU, tags and retries of the engine."""
        asked = self._steps[step]
        pool = {"pool": GPU_POOL} if asked.gpus else {}
        if self._engine == "local":
            return pool
        retries = asked.max_retries + (SPOT_RETRIES if asked.spot else 0)
        return {
            **pool,
            "op_tags": _TAGS[self._engine](asked, self._section),
            "retry_policy": dg.RetryPolicy(max_retries=retries, delay=RETRY_DELAY_SECONDS),
        }

    def _leave_gpus_to_nodes(self, nodes: int) -> None:
        """The step of a training on several machines only waits for them."""
        if self._engine not in ("k8s", "ray"):
            raise ValueError(
                f"trainer.nodes is {nodes}, but engine {self._engine} trains on one machine: use SYNCLR_ENGINE=k8s "
                "or ray."
            )
        asked = self._steps["checkpoint"]
        self._steps["checkpoint"] = StepCompute(gpus=0, max_retries=asked.max_retries, spot=asked.spot)

    @property
    def uses_gpus(self) -> bool:
        """Whether any step asks for a GPU."""
        return any(step.gpus for step in self._steps.values())


def kubernetes_tags(step: StepCompute, section: ComputeSection) -> Tags:
    """The pod of a step: a GPU, cores and memory of its own, its nodes, what they are tainted with, volumes."""
    mounts = [{"name": volume.name, "mount_path": volume.mount_path} for volume in section.volumes]
    volumes: list[dict[str, Any]] = [
        {"name": volume.name, "persistent_volume_claim": {"claim_name": volume.claim}}
        for volume in section.volumes
    ]
    tolerations: list[Mapping[str, Any]] = list(section.spot_tolerations) if step.spot else []
    resources = kubernetes_resources(step)
    if step.gpus:
        tolerations += section.tolerations
        mounts.append({"name": SHARED_MEMORY, "mount_path": "/dev/shm"})
        size = f"{section.shared_memory_gib:g}Gi"
        volumes.append({"name": SHARED_MEMORY, "empty_dir": {"medium": "Memory", "size_limit": size}})
    return {
        "dagster-k8s/config": {
            "container_config": {"resources": resources, "volume_mounts": mounts},
            "pod_spec_config": {
                "node_selector": step.node_selector,
                "tolerations": tolerations,
                "volumes": volumes,
            },
            "job_spec_config": {"backoff_limit": 0},  # Dagster retries, and says so
        }
    }


def kubernetes_resources(step: StepCompute) -> dict[str, dict[str, str]]:
    """Requests and limits of a container; memory and GPUs are limited to what is asked for."""
    memory = {"memory": f"{step.memory_gib:g}Gi"}
    gpus = {"nvidia.com/gpu": f"{step.gpus:g}"} if step.gpus else {}
    return {"requests": {"cpu": f"{step.cpus:g}", **memory}, "limits": memory | gpus}


def ecs_tags(step: StepCompute, section: ComputeSection) -> Tags:
    """The task of a step. The empty arguments make dagster-aws copy those that all steps of a run share."""
    provider = step.capacity_provider
    arguments = {"capacityProviderStrategy": [{"capacityProvider": provider}]} if provider else {}
    container = {
        "resourceRequirements": [{"type": "GPU", "value": f"{step.gpus:g}"}] if step.gpus else [],
    }
    return {
        "ecs/cpu": str(round(step.cpus * ECS_UNITS_PER_CPU)),
        "ecs/memory": str(round(step.memory_gib * MIB_PER_GIB)),
        "ecs/run_task_kwargs": json.dumps(arguments),
        "ecs/container_overrides": json.dumps(container),
    }


def ray_tags(step: StepCompute, section: ComputeSection) -> Tags:
    """The Ray job of a step; GPUs may be a fraction."""
    asked = {"num_cpus": step.cpus, "num_gpus": step.gpus, "memory": step.memory_bytes}
    return {"dagster-ray/config": asked}


_TAGS: Mapping[str, Callable[[StepCompute, ComputeSection], Tags]] = {
    "k8s": kubernetes_tags,
    "ecs": ecs_tags,
    "ray": ray_tags,
}


def _check_fraction(name: str, step: StepCompute, engine: str) -> None:
    gpus = step.gpus or 0
    if engine != "ray" and not float(gpus).is_integer():
        raise ValueError(
            f"compute.steps.{name}.gpus is {gpus:g}, but engine {engine} gives whole GPUs: "
            "use a whole number, or SYNCLR_ENGINE=ray."
        )
