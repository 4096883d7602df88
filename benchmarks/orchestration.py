"""What Dagster costs: the demo as runs against a plain script with the same calls.

`python -m benchmarks.orchestration`. Each method makes every asset of three buckets with the rehearsal generators in a
process of its own, over a store of its own; all must train the same weights. The aim is a tax of at most 5 % beyond
starting processes, at 2000 captions a bucket. Seconds of processor time are printed beside those of the clock, which on
a shared machine says little.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

CONCEPTS = {
    "letters": "[digit one, digit two, digit three, mug, kite, drum, owl, apple]",
    "numbers": "[digit four, digit five, digit six, digit seven, fish, house, banana, umbrella]",
    "things": "[digit eight, digit nine, digit zero, cactus, mushroom, sailboat, sunflower, anchor]",
}
METHODS = ("script", "dagster, one process", "dagster, a process a step")


@dataclass(frozen=True)
class Measured:
    """One method, from the start of its process to its end. Seconds."""

    method: str
    startup: float
    """Clock until everything is imported and loaded."""
    work: float
    """Clock from there on."""
    starting: float
    """Of the work, the clock in which Dagster started a step's process and nothing else went on."""
    processor: float | None
    """Processor time of the work; None where steps are other processes' children, which nothing adds up."""
    weights: str | None
    """Hash of the trained weights."""


@click.command()
@click.option("--captions", default=2000, show_default=True, help="Captions of each bucket.")
@click.option("--buckets", default=3, show_default=True, type=click.IntRange(1, len(CONCEPTS)))
@click.option("--steps", type=click.IntRange(1), help="Training steps; default the demo's.")
@click.option("--dataset-only", is_flag=True, help="Stop at the shards, where the tax is largest.")
@click.option("--method", type=click.Choice(METHODS), hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(
    captions: int,
    buckets: int,
    steps: int | None,
    dataset_only: bool,
    method: str | None,
    folder: Path | None,
) -> None:
    """Print one line per method, and the tax over the script."""
    if method is not None and folder is not None:
        click.echo(json.dumps(run(method, folder, captions * buckets, None if dataset_only else (steps,))))
        return
    script, *others = [measure(name, captions, buckets, steps, dataset_only) for name in METHODS]
    made = "concepts to shards" if dataset_only else "concepts to scores"
    click.echo(f"{buckets} x {captions} captions, four images each, {made}\n")
    click.echo(
        f"{'':28}{'startup':>9}{'work':>9}{'processor':>11}{'tax':>8}{'beyond starts':>15}{'processor':>11}"
    )
    for each in (script, *others):
        line = f"{each.method:28}{each.startup:8.1f}s{each.work:8.1f}s"
        line += f"{'':11}" if each.processor is None else f"{each.processor:10.1f}s"
        line += f"{each.work / script.work - 1:8.1%}{(each.work - each.starting) / script.work - 1:15.1%}"
        if each.processor is not None and script.processor is not None:
            line += f"{each.processor / script.processor - 1:11.1%}"
        click.echo(line)
    assert len({each.weights for each in (script, *others)}) == 1, "the methods trained different models"


def measure(method: str, captions: int, buckets: int, steps: int | None, dataset_only: bool) -> Measured:
    """Run one method in a fresh process over a fresh store."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "concepts").mkdir()
        for bucket, concepts in list(CONCEPTS.items())[:buckets]:
            content = f"captions: {captions}\nconcepts: {concepts}\n"
            (folder / "concepts" / f"{bucket}.yaml").write_text(content, encoding="utf-8")
        command = [
            *(
                sys.executable,
                "-m",
                "benchmarks.orchestration",
                f"--captions={captions}",
                f"--buckets={buckets}",
            ),
            *([] if steps is None else [f"--steps={steps}"]),
            *(["--dataset-only"] if dataset_only else []),
            *(f"--method={method}", f"--folder={folder}"),
        ]
        started = time.time()
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            sys.exit(f"{method} failed:\n{answer.stderr}")
        said = json.loads(answer.stdout.splitlines()[-1])
    return Measured(method=method, startup=said.pop("ready") - started, **said)


def run(method: str, folder: Path, total: int, model: tuple[int | None] | None) -> dict[str, Any]:
    """The method in this process: when it was ready, what its work took. `model` holds the training's steps."""
    os.environ |= {
        "SYNCLR_CONCEPTS": str(folder / "concepts"),
        "SYNCLR_STORE": str(folder / "store"),
        "DAGSTER_HOME": str(folder / "dagster"),
    }
    work = {METHODS[0]: as_script, METHODS[1]: in_one_process, METHODS[2]: in_many_processes}[method](model)
    ready, clock, processor = time.time(), time.monotonic(), processor_seconds()
    starting = work()
    seconds = time.monotonic() - clock
    spent = None if method == METHODS[2] else processor_seconds() - processor
    from synclr_assets.provenance.models import models
    from synclr_assets.store.store import Store

    store = Store(folder / "store")
    made = store.tables.read("shards", columns=["num_captions"])["num_captions"].to_pylist()
    assert sum(made) > 0.95 * total, made
    weights = None if model is None else models(store, "all")[0]["weights_sha256"]
    return {"ready": ready, "work": seconds, "starting": starting, "processor": spent, "weights": weights}


Work = Callable[[], float]
"""Does everything, and says for how many seconds nothing but a step's process was being started."""


def as_script(model: tuple[int | None] | None) -> Work:
    """The assets' calls, one after another."""
    from benchmarks.plain_demo import PlainDemo

    demo = PlainDemo()

    def work() -> float:
        demo.make_datasets()
        if model is not None:
            demo.make_model(*model)
        return 0.0

    return work


def in_one_process(model: tuple[int | None] | None) -> Work:
    """What `synclr demo` does."""
    from synclr_assets.launch.runs import Launcher

    launcher = Launcher()

    def work() -> float:
        for bucket in launcher.bank.buckets:
            launcher.make_dataset(bucket, None, lambda entry: None)
        if model is not None:
            launcher.make_model("all", lambda entry: None, checkpoint=training_config(model))
        return 0.0

    return work


def in_many_processes(model: tuple[int | None] | None) -> Work:
    """What runs started in the UI do, one run after another."""
    import dagster as dg
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    from synclr_assets.concept_bank.bank import concept_folder, read_bank
    from synclr_assets.defs.jobs import DATASET_JOB, MODEL_JOB
    from synclr_assets.environment import dagster_home
    from synclr_assets.launch.instance import open_instance

    instance = open_instance(dagster_home(os.environ))
    location = ReconstructableRepository.for_module("synclr_assets.definitions", fn_name="synclr")
    jobs = {name: location.get_reconstructable_job(name) for name in (DATASET_JOB, MODEL_JOB)}
    for job in jobs.values():
        job.get_definition()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

    def made(job: str, partition: str, config: dict[str, Any]) -> float:
        tags = {"dagster/partition": partition}
        result = dg.execute_job(jobs[job], instance, tags=tags, run_config={**quiet, **config})
        assert result.success
        return starting_seconds(instance, result.run_id)

    def work() -> float:
        starting = sum(
            made(DATASET_JOB, bucket, {}) for bucket in read_bank(concept_folder(os.environ)).buckets
        )
        if model is not None:
            config = {"ops": {"checkpoint": {"config": training_config(model)}}}
            starting += made(MODEL_JOB, "all", config)
        return starting

    return work


def training_config(model: tuple[int | None]) -> dict[str, Any]:
    """Config of `checkpoint`."""
    (steps,) = model
    return {} if steps is None else {"steps": steps}


def starting_seconds(instance: Any, run_id: str) -> float:
    """How long the run waited for the process of a step while none of its other steps worked."""
    import dagster as dg

    began = ended = 0.0
    total, working = 0.0, 0
    waiting = False
    for entry in instance.all_logs(run_id):
        match entry.dagster_event_type:
            case dg.DagsterEventType.STEP_WORKER_STARTING:
                if not working and not waiting:
                    began, waiting = entry.timestamp, True
            case dg.DagsterEventType.STEP_START:
                if waiting:
                    ended, waiting = entry.timestamp, False
                    total += ended - began
                working += 1
            case dg.DagsterEventType.STEP_SUCCESS | dg.DagsterEventType.STEP_FAILURE:
                working -= 1
    return total


def processor_seconds() -> float:
    """User and system time of this process and of the children that it has waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
