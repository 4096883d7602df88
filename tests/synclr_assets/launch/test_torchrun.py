"""Training over several processes, for real: torchrun, gloo, two CPU processes on one machine and on two."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synclr_assets.launch.process import CHILD, child_command, run_task
from synclr_assets.launch.tasks import EvalTask, FitTask, ProbeTask
from synclr_assets.launch.torchrun import Nodes, torchrun_command
from synclr_train.config import Recipe
from tests.synclr_train.conftest import everything, write_shard

RECIPE = everything(steps=4, strategy="ddp")


@pytest.fixture
def shards(tmp_path: Path) -> tuple[str, ...]:
    return (str(write_shard(tmp_path / "shapes-0-000000.tar", range(16), num_views=2)),)


@pytest.fixture
def fit_task(tmp_path: Path, shards: tuple[str, ...]) -> Callable[..., FitTask]:
    def make(name: str, recipe: Recipe, **fields: Any) -> FitTask:
        content = recipe.model_dump(mode="json")
        return FitTask(recipe=content, shards=shards, out_dir=str(tmp_path / name), seed=1, **fields)

    return make


def test_torchrun_under_dagster_trains_over_two_processes_and_one_of_them_speaks(
    fit_task: Callable[..., FitTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    task = fit_task("run", RECIPE.varied(devices=2), devices=2)

    @dg.op
    def train(context: dg.OpExecutionContext, pipes: dg.PipesSubprocessClient) -> None:
        run_task(context, pipes, task)

    @dg.job(resource_defs={"pipes": dg.PipesSubprocessClient()})
    def training() -> None:
        train()

    with dg.DagsterInstance.ephemeral() as instance:
        run = training.execute_in_process(instance=instance)
        said = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert sum("step 4 of 4" in line for line in said) == 1
    result = json.loads((Path(task.out_dir) / "result.json").read_text())
    assert {name: read["captions"] for name, read in result["samples_per_shard"].items()} == {
        "shapes-0-000000.tar": 4 * RECIPE.batch.captions
    }


def test_a_machine_of_several_meets_the_first_one() -> None:
    command = torchrun_command(8, CHILD, "run", Nodes(2, "1", "head-0.head", 29400))
    assert {"--nnodes=2", "--node-rank=1", "--nproc-per-node=8", "--max-restarts=0"} <= set(command)
    assert {"--master-addr=head-0.head", "--master-port=29400"} <= set(command)
    assert "--standalone" not in command


def test_a_child_leases_as_many_gpus_as_it_has_processes(fit_task: Callable[..., FitTask]) -> None:
    command = child_command(fit_task("x", RECIPE.varied(devices=8), devices=8), {})
    lease = command.index("synclr_assets.launch.gpu_lease")
    assert command[lease + 1] == "8"
    assert "--nproc-per-node=8" in command
    assert command[-1] == CHILD
    probe = ProbeTask(encoder_dir="e", out_dir="o", datasets=("d",), split="test", baselines=())
    segmentation = EvalTask(encoder_dir="e", out_dir="o", dataset="d", split="test", baselines=())
    for evaluation in (probe, segmentation):
        assert child_command(evaluation, {})[lease + 1] == "1"


@pytest.mark.parametrize("engine", ["k8s", "ecs", "ray"])
def test_on_a_cluster_the_engine_gives_the_gpus(fit_task: Callable[..., FitTask], engine: str) -> None:
    command = child_command(fit_task("x", RECIPE), {"SYNCLR_ENGINE": engine})
    assert "synclr_assets.launch.gpu_lease" not in command
