"""`python -m tests.long.two_nodes_ray`: a training on two machines of a Ray cluster, one of which is lost on the way.

Two raylets with a made-up GPU each, one CPU process each, gloo. One raylet is killed with all that it started; the
attempt fails in one sentence, and the next, on a machine that has come in its place, continues to the weights of two
processes under one torchrun. About two minutes.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from synclr_assets.compute import StepCompute
from synclr_assets.launch.process import CHILD, run_task
from synclr_assets.launch.ray_nodes import run_on_ray
from synclr_assets.launch.tasks import FitTask
from synclr_assets.launch.torchrun import NodesFailedError
from synclr_train.run_files import latest_checkpoint
from tests.long.raylets import kill_machine
from tests.long.two_nodes import task_of
from tests.synclr_train.conftest import everything, write_shard

STORE_BYTES = 80_000_000
STEPS, LOST_AFTER = 60, 8
PATIENCE_SECONDS = 120
STEP = StepCompute(cpus=1, memory_gib=1)


def main() -> None:
    """Train, lose a machine, go on, compare."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES}
    )
    os.environ["RAY_ADDRESS"] = cluster.address
    workers = [add_machine(cluster) for _ in range(2)]
    try:
        with tempfile.TemporaryDirectory() as name:
            shard = write_shard(Path(name) / "shapes-0-000000.tar", range(16), num_views=2)
            recipe = everything(steps=STEPS, strategy="ddp", checkpoint_every_steps=4)
            near = task_of(recipe.varied(devices=2), shard, Path(name) / "near", devices=2, nodes=1)
            far = task_of(recipe, shard, Path(name) / "far", devices=1, nodes=2)
            in_a_step(lambda context: run_task(context, dg.PipesSubprocessClient(), near))

            killer = threading.Thread(target=lose, args=(cluster, workers[1], Path(far.out_dir)))
            killer.start()
            in_a_step(lambda context: fails(context, far))
            killer.join()
            point = latest_checkpoint(Path(far.out_dir))
            assert point is not None
            add_machine(cluster)
            messages = in_a_step(lambda context: run_on_ray(context, far, CHILD, STEP))
            assert sum(f"step {STEPS} of {STEPS}" in message for message in messages) == 1, (
                "rank 0 alone speaks"
            )
            results = [json.loads((Path(task.out_dir) / "result.json").read_text()) for task in (far, near)]
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]
    assert results[0]["samples_per_shard"] == results[1]["samples_per_shard"]
    print(f"went on from {point.stem}")
    print(f"two machines of Ray and one: the same weights {results[0]['weights_sha256'][:12]}")


def add_machine(cluster: Any) -> Any:
    """A raylet with a made-up GPU."""
    return cluster.add_node(num_cpus=1, num_gpus=1, memory=2 * 2**30, object_store_memory=STORE_BYTES)


def in_a_step(work: Callable[[dg.OpExecutionContext], None]) -> list[str]:
    """What the work logged, as a step of a run."""

    @dg.op
    def step(context: dg.OpExecutionContext) -> None:
        work(context)

    @dg.job
    def run() -> None:
        step()

    with dg.DagsterInstance.ephemeral() as instance:
        done = run.execute_in_process(instance=instance)
        return [entry.user_message for entry in instance.all_logs(done.run_id)]


def fails(context: dg.OpExecutionContext, task: FitTask) -> None:
    """Train and expect the lost machine's sentence."""
    try:
        run_on_ray(context, task, CHILD, STEP)
    except NodesFailedError as error:
        print(f"the attempt ended: {error}", flush=True)
        return
    raise AssertionError("the training ended although a machine was lost")


def lose(cluster: Any, worker: Any, out_dir: Path) -> None:
    """Kill the machine once the training has a resume point of step LOST_AFTER."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        point = latest_checkpoint(out_dir)
        if point is not None and int(point.stem.removeprefix("step-")) >= LOST_AFTER:
            break
        time.sleep(0.05)
    print(f"killed a machine's {len(kill_machine(cluster, worker))} processes", flush=True)


if __name__ == "__main__":
    main()
