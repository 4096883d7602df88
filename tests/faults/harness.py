"""Putting the stages under faults, and counting what was lost or doubled against an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from synclr_assets.commands.doctor import examine
from synclr_assets.store.schemas import TABLES
from synclr_assets.store.store import Store
from synclr_assets.verification.stray_files import stray_files
from synclr_assets.verification.verify import verify
from tests.faults.child import ALL_STAGES, MODEL_STAGES, SAID, start
from tests.faults.s3_proxy import FaultyS3
from tests.synclr_assets.conftest import DATASET_STAGES, content_of, write_bank

KILLED = -9
FRUIT = "fruit"
BUCKETS = tuple(f"b{number}" for number in range(8))
BANK = {
    "fruit.yaml": "captions: 23\nconcepts: [apple, banana, {name: quince, weight: 2}]\n",
    **{f"{bucket}.yaml": "captions: 8\nconcepts: [pear, plum]\n" for bucket in BUCKETS},
}
DISK_KILOBYTES = (24, 120, 300, 600, 900, 1200)
"""Sizes of a disk that the stages of the fruit bucket outgrow one after the other."""


@dataclass(frozen=True)
class Outcome:
    """One row of the fault table."""

    fault: str
    injected: int
    survived: int
    """Faults after which a re-run completed and equalled the undisturbed run."""
    lost: int
    doubled: int


class Harness:
    """One concept bank, the undisturbed outcome, and a folder for disturbed ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.concepts = folder / "concepts"
        write_bank(self.concepts, BANK)
        began = time.monotonic()
        self._finish(folder / "undisturbed", (FRUIT,))
        self.seconds = time.monotonic() - began
        self.undisturbed = content_of(Store(folder / "undisturbed"))
        self.leftovers = 0
        """Files and folders that `synclr doctor` lists after the runs that followed kills."""

    def kills(self, count: int, seed: int) -> Outcome:
        """SIGKILL at random moments, again and again, until `count` kills hit a working process."""
        draws = random.Random(seed)
        killed = rounds = lost = doubled = 0
        while killed < count:
            root = self._fresh("kills")
            rounds += 1
            finished = False
            while not finished and killed < count:
                process = start(self.concepts, str(root), FRUIT)
                process.join(draws.uniform(0, self.seconds))
                process.kill()
                process.join()
                finished = process.exitcode == 0
                killed += process.exitcode == KILLED
                self._expect_intact(root)
            self._finish(root, (FRUIT,))
            more = compare(self.undisturbed, content_of(Store(root)))
            lost, doubled = lost + more[0], doubled + more[1]
            self._account_for_leftovers(root, self.folder / "undisturbed")
        return Outcome(
            "SIGKILL at a random moment", killed, killed if not lost + doubled else 0, lost, doubled
        )

    def kills_of_a_stage(self, stage: str, count: int, seed: int) -> Outcome:
        """The same within one stage; the stages before it are done already."""
        draws = random.Random(seed)
        is_model = stage in MODEL_STAGES
        stages = ALL_STAGES if is_model else DATASET_STAGES
        base = self._fresh(f"before-{stage}")
        self._finish(base, (FRUIT,), stages[: stages.index(stage)])
        timed = self._copy(base, "timed")
        began = time.monotonic()
        self._finish(timed, (FRUIT,), (stage,))
        seconds = time.monotonic() - began
        undisturbed = content_of(Store(timed)) if is_model else self.undisturbed
        killed = lost = doubled = 0
        while killed < count:
            root = self._copy(base, f"kill-{stage}")
            finished = False
            while not finished and killed < count:
                process = start(self.concepts, str(root), FRUIT, (stage,))
                process.join(draws.uniform(0, seconds))
                process.kill()
                process.join()
                finished = process.exitcode == 0
                killed += process.exitcode == KILLED
                self._expect_intact(root)
            self._finish(root, (FRUIT,), (stage,) if is_model else stages)
            more = compare(undisturbed, content_of(Store(root)))
            lost, doubled = lost + more[0], doubled + more[1]
            self._account_for_leftovers(root, timed if is_model else self.folder / "undisturbed")
        return Outcome(f"SIGKILL within {stage}", killed, killed if not lost + doubled else 0, lost, doubled)

    def full_disks(self, kilobytes: tuple[int, ...] = DISK_KILOBYTES) -> Outcome:
        """The store on a disk that is too small: the run ends in an error; with more room it goes on."""
        hit = 0
        losses = []
        for size in kilobytes:
            with small_disk(self.folder / f"disk-{size}", size) as disk:
                process = start(self.concepts, str(disk / "store"), FRUIT)
                process.join()
                hit += process.exitcode not in (0, None)
                subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
                self._expect_intact(disk / "store")
                self._finish(disk / "store", (FRUIT,))
                losses.append(compare(self.undisturbed, content_of(Store(disk / "store"))))
        return _outcome("disk full", hit, losses)

    def unwritable_folders(self) -> Outcome:
        """Each stage as a user who may not write: one sentence that names the folder; then with the right to."""
        losses, told = [], 0
        for done in range(len(DATASET_STAGES)):
            root = self._fresh(f"unwritable-{done}")
            root.mkdir()
            self._finish(root, (FRUIT,), DATASET_STAGES[:done])
            for path in (self.folder, *self.folder.parents):  # what the test runner keeps to itself
                path.chmod(path.stat().st_mode | 0o055)
            said = self.folder / f"said-{done}"
            said.touch()
            said.chmod(0o666)
            process = start(self.concepts, str(root), FRUIT, as_nobody=True, said=said)
            process.join()
            told += process.exitcode == SAID and "\n" not in said.read_text(encoding="utf-8").strip()
            self._expect_intact(root)
            self._finish(root, (FRUIT,))
            losses.append(compare(self.undisturbed, content_of(Store(root))))
        return _outcome("unwritable folder", told, losses)

    def jumping_clocks(self, count: int) -> Outcome:
        """The wall clock up to two days off at every reading."""
        losses = []
        for seed in range(count):
            root = self._fresh(f"clock-{seed}")
            process = start(self.concepts, str(root), FRUIT, clock_seed=seed)
            process.join()
            assert process.exitcode == 0, process.exitcode
            losses.append(compare(self.undisturbed, content_of(Store(root))))
        return _outcome("clock jumps", count, losses)

    def twins(self, count: int) -> Outcome:
        """Two runs of one partition at once: the later takes over, the earlier stops; nothing is doubled."""
        losses = []
        for number in range(count):
            root = self._fresh(f"twins-{number}")
            pair = [start(self.concepts, str(root), FRUIT) for _ in range(2)]
            for process in pair:
                process.join()
            assert all(process.exitcode in (0, SAID) for process in pair), [p.exitcode for p in pair]
            self._finish(root, (FRUIT,))
            losses.append(compare(self.undisturbed, content_of(Store(root))))
        return _outcome("two runs of one partition", count, losses)

    def eight_at_once(self, count: int) -> Outcome:
        """Eight buckets into the same tables at once."""
        alone = self._fresh("alone")
        self._finish(alone, BUCKETS)
        expected = content_of(Store(alone))
        losses = []
        for number in range(count):
            root = self._fresh(f"eight-{number}")
            eight = [start(self.concepts, str(root), bucket) for bucket in BUCKETS]
            for process in eight:
                process.join()
            self._finish(root, BUCKETS)
            losses.append(compare(expected, content_of(Store(root))))
        return _outcome("eight partitions at once", count, losses)

    def faulty_object_store(
        self, keys: Mapping[str, str], new_root: Callable[[], str], share: float, seed: int
    ) -> Outcome:
        """The stages against S3 that fails `share` of the requests; re-run until they are done.

        `keys` are the AWS variables of the server itself.
        """
        root = new_root()
        proxy = FaultyS3(keys["AWS_ENDPOINT_URL"], share, seed)
        through_proxy = {**keys, "AWS_ENDPOINT_URL": proxy.endpoint}
        try:
            for _ in range(20):
                process = start(self.concepts, root, FRUIT, environment=through_proxy)
                process.join()
                if process.exitcode == 0:
                    break
        finally:
            proxy.close()
        self._finish(root, (FRUIT,), environment=keys)
        losses = [compare(self.undisturbed, content_of(Store(root)))]
        return _outcome("S3: 500, 503, slow, lost answer, cut upload", sum(proxy.injected.values()), losses)

    def _finish(
        self,
        root: Path | str,
        buckets: tuple[str, ...],
        stages: tuple[str, ...] = DATASET_STAGES,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """The undisturbed re-run, which must complete."""
        for bucket in buckets:
            process = start(self.concepts, str(root), bucket, stages, environment=environment)
            process.join()
            assert process.exitcode == 0, (root, bucket, stages, process.exitcode)

    def _expect_intact(self, root: Path) -> None:
        """What was committed when the fault came is sound."""
        faults = [one for step in verify(Store(root)) for one in step.findings if one.is_fault]
        assert not faults, faults

    def _account_for_leftovers(self, root: Path, undisturbed: Path) -> None:
        """Every file that an undisturbed run would not leave is one that `synclr doctor` lists."""
        listed = stray_files(Store(root))
        told = {finding.subject: finding.found for finding in examine({"SYNCLR_STORE": str(root)})}
        assert told.get("left-over files", "0 in ").startswith(f"{len(listed)} in "), (told, listed)
        wanted = files_of(undisturbed) | files_in_logs(root)
        unlisted = [
            name
            for name in files_of(root) - wanted
            if not any(root / name == path or path in (root / name).parents for path in listed)
        ]
        assert not unlisted, unlisted
        self.leftovers += len(listed)

    def _fresh(self, name: str) -> Path:
        root = self.folder / name
        shutil.rmtree(root, ignore_errors=True)
        return root

    def _copy(self, base: Path, name: str) -> Path:
        root = self._fresh(name)
        if base.exists():
            shutil.copytree(base, root)
        return root


def compare(expected: dict[str, Any], found: dict[str, Any]) -> tuple[int, int]:
    """Rows and files of the undisturbed run that are missing or different, and those that are there too often."""
    lost = doubled = 0
    for table, rows in expected.items():
        if table == "files":
            lost += sum(found["files"].get(key) != digest for key, digest in rows.items())
            doubled += len(set(found["files"]) - set(rows))
            continue
        want = Counter(map(repr, rows))
        have = Counter(map(repr, found[table]))
        lost += sum((want - have).values())
        doubled += sum((have - want).values())
    assert set(expected) == {*TABLES, "files"} - {"ledger"}
    return lost, doubled


def files_of(root: Path) -> set[str]:
    """Files below the root that have a name of their own: not those of the event log, which carry a time."""
    paths = (path for path in root.rglob("*") if path.is_file() and ".tfevents." not in path.name)
    return {path.relative_to(root).as_posix() for path in paths}


def files_in_logs(root: Path) -> set[str]:
    """Commits of the tables, and the data files that they add or remove."""
    named = set()
    for log in root.glob("tables/*/_delta_log/*.json"):
        table = log.parents[1].relative_to(root).as_posix()
        named.add(f"{table}/_delta_log/{log.name}")
        for line in log.read_text(encoding="utf-8").splitlines():
            for action in ("add", "remove"):
                if action in json.loads(line):
                    named.add(f"{table}/{unquote(json.loads(line)[action]['path'])}")
    return named


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A tmpfs of the given size; needs the right to mount."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def may_mount() -> bool:
    """Whether this process may mount a tmpfs, as root in most containers may."""
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    ).returncode == 0  # fmt: skip


def _outcome(fault: str, injected: int, losses: list[tuple[int, int]]) -> Outcome:
    lost, doubled = (sum(column) for column in zip(*losses, strict=True))
    return Outcome(fault, injected, injected if not lost + doubled else 0, lost, doubled)
