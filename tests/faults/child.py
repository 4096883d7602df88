"""What runs in a process of its own while a fault happens to it: the stages of one bucket.

Processes fork from a server that has the imports done, so that hundreds of kills cost seconds.
"""

import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from synclr_assets.concept_bank.bank import read_bank
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import DATASET_STAGES, Stages

NOBODY = 65534
SAID = 3
"""Exit code of a run that ended in one sentence for a user."""
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.child"])
MODEL_STAGES = ("checkpoint", "linear_probe", "segmentation")
ALL_STAGES = (*DATASET_STAGES, *MODEL_STAGES)


def preload_torch() -> None:
    """Have it loaded in the server too. To be called before the first child begins."""
    CONTEXT.set_forkserver_preload(["tests.faults.child", "tests.faults.model_stages"])


def start(
    concepts: Path,
    root: str,
    bucket: str,
    stages: tuple[str, ...] = DATASET_STAGES,
    *,
    environment: Mapping[str, str] | None = None,
    as_nobody: bool = False,
    clock_seed: int | None = None,
    said: Path | None = None,
) -> BaseProcess:
    """Begin the stages of generation 0 of the bucket in a child. Its exit code is 0, SAID, or that of its death.

    `as_nobody` gives up root's rights first; `clock_seed` makes the clock jump; `said` takes the sentence of an
    error.
    """
    process = CONTEXT.Process(
        target=_run,
        args=(concepts, root, bucket, stages, dict(environment or {}), as_nobody, clock_seed, said),
    )
    process.start()
    return process


def _run(
    concepts: Path,
    root: str,
    bucket: str,
    stages: tuple[str, ...],
    environment: dict[str, str],
    as_nobody: bool,
    clock_seed: int | None,
    said: Path | None,
) -> None:
    os.environ.update(environment)
    bank = read_bank(concepts)
    if as_nobody:
        with (
            tempfile.TemporaryDirectory() as scratch
        ):  # nobody may not even import what a first run imports late
            Stages(bank, Store(scratch)).run_all(Unit(bucket, 0))
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if clock_seed is not None:
        _let_the_clock_jump(clock_seed)
    try:
        for stage in stages:
            if stage in MODEL_STAGES:
                from tests.faults.model_stages import run_model_stage

                run_model_stage(Store(root), stage, bucket)
            else:
                Stages(bank, Store(root)).run(stage, Unit(bucket, 0))
    except (StoreError, OSError) as error:
        if said is not None:
            said.write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        os._exit(SAID)


def _let_the_clock_jump(seed: int) -> None:
    """Every reading of the wall clock is up to two days off, forwards or backwards."""
    jumps = random.Random(seed)
    real = time.time
    time.time = lambda: real() + jumps.uniform(-172_800, 172_800)  # type: ignore[assignment]
