"""Training on several machines of a Ray cluster: one Ray task per machine, each a node of one torchrun.

The tasks belong to the step's own Ray job, so they end with it. All machines share the scratch folder (TMPDIR on a
network disk): rank 0 leaves the model there, and its messages to Dagster.
"""

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from synclr_assets.compute import StepCompute
from synclr_assets.launch.node_session import node_session
from synclr_assets.launch.tasks import FitTask
from synclr_assets.launch.torchrun import Nodes, NodesFailedError, dying_with_parent, torchrun_command


def run_on_ray(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, task: FitTask, module: str, step: StepCompute
) -> None:
    """Run the task on `task.nodes` machines to its end, each with the step's cores and memory and its own GPUs.

    Waits until so many machines are free. Raises NodesFailedError where one fails or is lost.
    """
    with node_session(context, task) as (name, variables):
        _train(task, module, step, name, variables)


def _train(task: FitTask, module: str, step: StepCompute, name: str, variables: Mapping[str, str]) -> None:
    import ray
    from ray.exceptions import RayError
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    if not ray.is_initialized():
        ray.init()  # the cluster of RAY_ADDRESS, which Ray sets in the step's job
    share = {"CPU": step.cpus, "GPU": task.devices, "memory": step.memory_bytes}
    group = placement_group([share] * task.nodes, strategy="STRICT_SPREAD", name=name)

    def on_node(rank: int, function: Any) -> Any:
        place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
        asked = {"num_cpus": share["CPU"], "num_gpus": share["GPU"], "memory": share["memory"]}
        return ray.remote(function).options(**asked, max_retries=0, scheduling_strategy=place)

    try:
        ray.get(group.ready())
        head, port = ray.get(on_node(0, free_address).remote())
        running = []
        for rank in range(task.nodes):
            command = torchrun_command(task.devices, module, name, Nodes(task.nodes, str(rank), head, port))
            running.append(on_node(rank, run_node).remote(command, variables))
        while running:
            done, running = ray.wait(running, num_returns=1)
            ray.get(done)
    except RayError as error:
        said = str(error).strip().splitlines()[-1].partition(". ")[0]
        raise NodesFailedError(
            f"A node of training {name} failed ({said}): read the log of its Ray job."
        ) from error
    finally:
        remove_placement_group(group)


def free_address() -> tuple[str, int]:
    """Of the machine that runs this: its address in the cluster, and a port that nobody listens on."""
    import ray.util

    with socket.socket() as probe:
        probe.bind(("", 0))
        return ray.util.get_node_ip_address(), int(probe.getsockname()[1])


def run_node(command: Sequence[str], variables: Mapping[str, str]) -> None:
    """One machine's torchrun, which dies with this process. Raises NodesFailedError."""
    environment = {**os.environ, **variables}
    ended = subprocess.run([*dying_with_parent("TERM"), *command], env=environment, check=False)
    if ended.returncode:
        raise NodesFailedError(f"torchrun ended with status {ended.returncode}")
