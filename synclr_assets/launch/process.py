"""Running a task in a child process: a crash or an out-of-memory kill takes the child, not the run."""

import os
import sys
import warnings
from collections.abc import Mapping, Sequence

import dagster as dg

from synclr_assets.environment import engine_of
from synclr_assets.launch.gpu_lease import leasing_command
from synclr_assets.launch.indexed_job import run_on_nodes, this_pod
from synclr_assets.launch.ray_nodes import run_on_ray
from synclr_assets.launch.tasks import EvalTask, FitTask, ProbeTask
from synclr_assets.launch.torchrun import dying_with_parent, torchrun_command
from synclr_assets.profiles import chosen_profile

CHILD = "synclr_assets.launch.child"


def run_task(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    client: dg.PipesSubprocessClient,
    task: FitTask | ProbeTask | EvalTask,
) -> None:
    """Run the task to its end, streaming its log lines. Raises DagsterPipesExecutionError where it fails.

    A training on several machines runs in pods or Ray tasks of their own. Raises NodesFailedError where one fails.
    """
    extras = {"task": task.model_dump(mode="json")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        if isinstance(task, FitTask) and task.nodes > 1:
            profile = chosen_profile(os.environ)
            step = profile.step("checkpoint")
            if engine_of(os.environ) == "ray":
                run_on_ray(context, task, CHILD, step)
            else:
                run_on_nodes(context, task, CHILD, step, profile.compute, *this_pod())
            return
        client.run(context=context, command=child_command(task, os.environ), extras=extras)


def child_command(task: FitTask | ProbeTask | EvalTask, environment: Mapping[str, str]) -> Sequence[str]:
    """The child's command line: it dies with its step, holds its GPUs itself, and several devices mean torchrun.

    A cluster's engine gives a step its GPUs; on this machine the child leases them, where there are any.
    """
    devices = task.devices
    child = torchrun_command(devices, CHILD, run_id="fit") if devices > 1 else [sys.executable, "-m", CHILD]
    leased = devices if engine_of(environment) == "local" else 0
    return [*dying_with_parent("TERM"), *leasing_command(leased, child)]
