"""Which executor an engine uses. The library of a cluster is imported only where that cluster is chosen."""

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import dagster as dg

from synclr_assets.environment import DAGSTER_HOME

PRELOADED = ("dagster", "synclr_assets.definitions")
PRELOADED_FOR_GPU = (*PRELOADED, "torch")
"""Importing torch starts no thread and touches no GPU, so processes forked afterwards may still choose theirs."""


def executor_of(
    engine: str, environment: Mapping[str, str], *, uses_gpus: bool = False
) -> dg.ExecutorDefinition:
    """The executor of the engine. Raises ValueError where its extra is not installed."""
    return _MAKERS[engine](environment, uses_gpus)


def _local(environment: Mapping[str, str], uses_gpus: bool) -> dg.ExecutorDefinition:
    """One process per step, forked from a server that has the slow imports done already."""
    preloaded = PRELOADED_FOR_GPU if uses_gpus else PRELOADED
    return dg.multiprocess_executor.configured(
        {
            "max_concurrent": 0,
            "start_method": {"forkserver": {"preload_modules": list(preloaded)}},
        },
        name="forkserver",
    )


def _kubernetes(environment: Mapping[str, str], uses_gpus: bool) -> dg.ExecutorDefinition:
    """One Kubernetes job per step; image, namespace and secrets are those of the run's own pod."""
    executor: dg.ExecutorDefinition = _module("dagster_k8s", "k8s").k8s_job_executor
    return executor.configured({"enable_owner_references": True}, name="k8s")


def _ecs(environment: Mapping[str, str], uses_gpus: bool) -> dg.ExecutorDefinition:
    """One ECS task per step, of the task definition that the run's own task has."""
    executor: dg.ExecutorDefinition = _module("dagster_aws.ecs", "ecs").ecs_executor
    return executor.configured({}, name="ecs")


def _ray(environment: Mapping[str, str], uses_gpus: bool) -> dg.ExecutorDefinition:
    """One Ray job per step. RAY_ADDRESS names the cluster, as everywhere in Ray."""
    executor: dg.ExecutorDefinition = _module("dagster_ray", "ray").ray_executor
    settings: dict[str, Any] = {"env_vars": forwarded_variables(environment)}
    address = environment.get("RAY_ADDRESS")
    if address:
        settings["address"] = address
    return executor.configured({"ray": settings}, name="ray")


def forwarded_variables(environment: Mapping[str, str]) -> list[str]:
    """Names of the variables that a Ray job is given. Keys are the workers' own: Ray's UI shows a job's variables."""
    return [*sorted(name for name in environment if name.startswith("SYNCLR_")), DAGSTER_HOME]


_MAKERS: Mapping[str, Callable[[Mapping[str, str], bool], dg.ExecutorDefinition]] = {
    "local": _local,
    "k8s": _kubernetes,
    "ecs": _ecs,
    "ray": _ray,
}


def _module(name: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"SYNCLR_ENGINE={extra} needs {name}, which is not installed ({error.name} is missing): "
            f"pip install 'synclr[{extra}]'."
        ) from error
