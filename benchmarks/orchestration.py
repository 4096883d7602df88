"""What Dagster costs: a bucket's dataset as a run against a plain script: `python -m benchmarks.orchestration`.

Both make the same calls of `synclr_assets.stages` with the rehearsal generators, each in a process of its own. Seconds
of processor time are printed beside those of the clock, which on a shared machine says little.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

BUCKET = "letters"
CONCEPTS = "[digit one, digit two, digit three, mug, kite, drum, owl, apple]"
METHODS = ("script", "dagster in one process", "dagster, a process per step")


@dataclass(frozen=True)
class Measured:
    """One method, from the start of its process to its end."""

    method: str
    startup_seconds: float
    """Clock until everything is imported and loaded."""
    work_seconds: float
    """Clock from there on."""
    processor_seconds: float | None
    """Processor time of the work; None where steps are other processes' children, which nothing adds up."""


@click.command()
@click.option("--captions", default=2000, show_default=True, help="Captions of the bucket.")
@click.option("--method", type=click.Choice(METHODS), hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(captions: int, method: str | None, folder: Path | None) -> None:
    """Print one line per method, and the tax over the script."""
    if method is not None and folder is not None:
        click.echo(json.dumps(run(method, folder, captions)))
        return
    script, *others = [measure(name, captions) for name in METHODS]
    click.echo(f"{captions} captions, four images each, concepts to shards\n")
    click.echo(f"{'':30}{'startup':>10}{'work':>10}{'processor':>12}{'tax':>8}{'tax, processor':>17}")
    for each in (script, *others):
        tax = each.work_seconds / script.work_seconds - 1
        line = f"{each.method:30}{each.startup_seconds:9.1f}s{each.work_seconds:9.1f}s"
        if each.processor_seconds is None or script.processor_seconds is None:
            click.echo(f"{line}{'':12}{tax:8.1%}")
        else:
            processor_tax = each.processor_seconds / script.processor_seconds - 1
            click.echo(f"{line}{each.processor_seconds:11.1f}s{tax:8.1%}{processor_tax:17.1%}")


def measure(method: str, captions: int) -> Measured:
    """Run one method in a fresh process over a fresh store."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "concepts").mkdir()
        bucket = folder / "concepts" / f"{BUCKET}.yaml"
        bucket.write_text(f"captions: {captions}\nconcepts: {CONCEPTS}\n", encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.orchestration", f"--captions={captions}"]
        started = time.time()
        answer = subprocess.run(
            [*command, f"--method={method}", f"--folder={folder}"], capture_output=True, text=True, check=True
        )
        said = json.loads(answer.stdout.splitlines()[-1])
    return Measured(method, said["ready"] - started, said["work_seconds"], said["processor_seconds"])


def run(method: str, folder: Path, captions: int) -> dict[str, float | None]:
    """The method in this process: when it was ready, and how long the work took."""
    os.environ |= {
        "SYNCLR_CONCEPTS": str(folder / "concepts"),
        "SYNCLR_STORE": str(folder / "store"),
        "DAGSTER_HOME": str(folder / "dagster"),
    }
    work = {METHODS[0]: as_script, METHODS[1]: in_one_process, METHODS[2]: in_many_processes}[method]()
    ready, clock, processor = time.time(), time.monotonic(), processor_seconds()
    work()
    seconds = time.monotonic() - clock
    spent = None if method == METHODS[2] else processor_seconds() - processor
    from synclr_assets.store.store import Store

    made = Store(folder / "store").tables.read("shards", columns=["num_captions"])["num_captions"].to_pylist()
    assert sum(made) > 0.95 * captions, made
    return {"ready": ready, "work_seconds": seconds, "processor_seconds": spent}


def as_script() -> Callable[[], object]:
    """The five stages, called one after another."""
    from synclr_assets.concept_bank.bank import concept_folder, read_bank
    from synclr_assets.environment import store_root
    from synclr_assets.profiles import rehearsal
    from synclr_assets.stages import captions, concepts, enriched_captions, images, shards
    from synclr_assets.store.store import Store
    from synclr_assets.store.transactions import Unit
    from synclr_assets.synthesis.backgrounds import make_background_writer
    from synclr_assets.synthesis.captioners import make_captioner
    from synclr_assets.synthesis.image_samplers import make_image_sampler

    profile, store, unit = rehearsal(), Store(store_root(os.environ)), Unit(BUCKET, 0)
    section = profile.dataset
    captioner, prompts = make_captioner(profile.captioner), profile.captioner.prompts()

    def work() -> None:
        concepts.write_concepts(store, read_bank(concept_folder(os.environ)).buckets[BUCKET], None)
        captions.write_captions(
            store,
            unit,
            captioner,
            prompts,
            captions.CaptionSettings(captions_per_commit=section.captions_per_commit),
        )
        enriched_captions.write_enriched_captions(
            store,
            unit,
            captioner,
            make_background_writer(profile.background_writer),
            prompts,
            enriched_captions.EnrichmentSettings(captions_per_commit=section.captions_per_commit),
        )
        images.write_images(
            store,
            unit,
            make_image_sampler(profile.image_sampler),
            images.ImageSettings(captions_per_commit=section.image_captions_per_commit),
        )
        shards.write_shards(store, unit, shards.ShardSettings(captions_per_shard=section.captions_per_shard))

    return work


def in_one_process() -> Callable[[], object]:
    """What `synclr materialize` does."""
    from synclr_assets.launch.runs import Launcher

    launcher = Launcher()
    return lambda: launcher.make_dataset(BUCKET, None, lambda entry: None)


def in_many_processes() -> Callable[[], object]:
    """What a run started in the UI does."""
    import dagster as dg
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    from synclr_assets.defs.jobs import DATASET_JOB
    from synclr_assets.environment import dagster_home
    from synclr_assets.launch.instance import open_instance

    instance = open_instance(dagster_home(os.environ))
    location = ReconstructableRepository.for_module("synclr_assets.definitions", fn_name="synclr")
    job = location.get_reconstructable_job(DATASET_JOB)
    job.get_definition()

    def work() -> None:
        tags = {"dagster/partition": BUCKET}
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        assert dg.execute_job(job, instance, tags=tags, run_config=quiet).success

    return work


def processor_seconds() -> float:
    """User and system time of this process."""
    return sum(os.times()[:2])


if __name__ == "__main__":
    main()
