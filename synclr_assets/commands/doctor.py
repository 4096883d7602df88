"""`synclr doctor`: what this machine has and what that allows; which runs are stuck, and ending those."""

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.environment import dagster_home, profile_of, store_root
from synclr_assets.stages.purchases import requests_in_doubt
from synclr_assets.store.location import Location
from synclr_assets.store.migrations import pending_migrations
from synclr_assets.store.store import Store
from synclr_assets.verification.stray_files import stray_files

KEYS = ("OPENAI_API_KEY", "HF_TOKEN", "AWS_ACCESS_KEY_ID")
WEIGHTS = {
    "Llama 2 7B": "meta-llama/Llama-2-7b-hf",
    "Stable Diffusion 1.5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}
MIN_FREE_GIB = 2.0
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    subject: str
    found: str
    means: str
    is_problem: bool = False


@click.command("doctor")
@click.option("--free", "frees", is_flag=True, help="End dead runs and give leaked pool slots back.")
@click.option("--run", "run_ids", multiple=True, help="With --free: also end this silent run. Repeatable.")
@click.option(
    "--leftovers", is_flag=True, help="Only list files of a local store that nothing names, one a line."
)
def command(frees: bool, run_ids: tuple[str, ...], leftovers: bool) -> None:
    """What this machine has and what that allows. Exit code 1 where something stands in the way of a rehearsal.

    Stuck runs and leaked pool slots are explained; nothing is changed without --free.
    """
    if run_ids and not frees:
        raise click.UsageError("--run goes with --free.")
    if leftovers:
        for path in stray_files(Store(store_root(os.environ))):
            click.echo(path)
        return
    if frees:
        for done in free_stuck(os.environ, run_ids):
            click.echo(done)
    findings = examine(os.environ)
    table = Table("", "found", "which means")
    for finding in findings:
        style = "red" if finding.is_problem else None
        table.add_row(finding.subject, finding.found, finding.means, style=style)
    Console().print(table)
    if any(finding.is_problem for finding in findings):
        raise SystemExit(1)


def examine(environment: Mapping[str, str]) -> list[Finding]:
    """Everything the doctor looks at, in order. Keys are said to be set or not, never shown."""
    return [
        _cores(),
        _memory(),
        _gpus(),
        _bfloat16(),
        *_packages(),
        *_places(environment),
        *_keys(environment),
        *_weights(environment),
        _concepts(environment),
        *_tables(environment),
        *_runs(environment),
    ]


def _cores() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("cores", f"{usable} on {platform.machine()}", "the rehearsal is sized for 2")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    return Finding("memory", f"{total:.0f} GiB", "the rehearsal needs about 3 GiB")


def _gpus() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPU", "none", "rehearsal generators and small recipes; no diffusion at useful speed")
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    names = [line.strip() for line in answer.stdout.splitlines() if line.strip()]
    if answer.returncode or not names:
        return Finding(
            "GPU", "nvidia-smi answers with an error", "mend the driver before using the GPU", True
        )
    return Finding("GPU", "; ".join(names), "training uses it by itself")


def _bfloat16() -> Finding:
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.is_file() else ""
    if "avx512_bf16" in flags or "amx_bf16" in flags:
        return Finding("bfloat16 on CPU", "yes", "training on CPU is about twice as fast")
    return Finding("bfloat16 on CPU", "no", "training on CPU runs in float32")


def _packages() -> list[Finding]:
    needs = {"torch": "training and evaluation", "dagster_webserver": "the UI"}
    return [
        Finding(name, "installed", means)
        if importlib.util.find_spec(name)
        else Finding(name, "missing", f"no {means}: pip install 'synclr[train,platform]'", True)
        for name, means in needs.items()
    ]


def _places(environment: Mapping[str, str]) -> list[Finding]:
    location = Location.parse(store_root(environment))
    home = Finding("Dagster instance", str(dagster_home(environment)), "runs, events, schedules")
    profile = Finding("profile", profile_of(environment), "which generators and executor are used")
    if not location.is_local:
        return [profile, Finding("store", location.uri, "an object store; not probed here"), home]
    existing = location.folder
    while not existing.exists():
        existing = existing.parent
    free_gib = shutil.disk_usage(existing).free / GIB
    if not os.access(existing, os.W_OK):
        store = Finding(
            "store", str(location.folder), "not writable: set SYNCLR_STORE to a folder that is", True
        )
    elif free_gib < MIN_FREE_GIB:
        store = Finding("store", f"{location.folder}, {free_gib:.1f} GiB free", "too full to work", True)
    else:
        store = Finding("store", f"{location.folder}, {free_gib:.0f} GiB free", "tables, shards, models")
    return [profile, store, *_leftovers(Store(location.uri)), *_doubts(location), home]


def _leftovers(store: Store) -> list[Finding]:
    left = stray_files(store)
    if not left:
        return []
    means = "left by a killed run, or in use now; `synclr doctor --leftovers` lists them, to delete when nothing runs"
    return [Finding("left-over files", f"{len(left)} in {store.location.folder}", means)]


def _doubts(location: Location) -> list[Finding]:
    num = requests_in_doubt(Store(location.uri))
    if not num:
        return []
    means = "under way now, or cut off by a kill: sent again under the same key, perhaps charged twice"
    return [Finding("API requests in doubt", str(num), means)]


def _keys(environment: Mapping[str, str]) -> list[Finding]:
    return [
        Finding(key, "set" if environment.get(key) else "not set", "read from the environment only")
        for key in KEYS
    ]


def _weights(environment: Mapping[str, str]) -> list[Finding]:
    cache = Path(environment.get("HF_HOME") or Path.home() / ".cache/huggingface") / "hub"
    findings = []
    for name, hub_id in WEIGHTS.items():
        found = (cache / f"models--{hub_id.replace('/', '--')}").is_dir()
        means = "can be used offline" if found else "not needed for the rehearsal"
        findings.append(Finding(name, "in the cache" if found else "not in the cache", means))
    return findings


def _concepts(environment: Mapping[str, str]) -> Finding:
    bank = read_bank(concept_folder(environment))
    found = f"{len(bank.buckets)} buckets in {bank.folder}"
    if bank.problems:
        return Finding(
            "concepts", f"{found}, {len(bank.problems)} problems", "see `synclr concepts check`", True
        )
    return Finding("concepts", found, "every file is usable")


def _tables(environment: Mapping[str, str]) -> list[Finding]:
    pending = pending_migrations(Store(store_root(environment)).tables)
    return [
        Finding(f"table {one.table}", f"version {one.written} of {one.wanted}", "run `synclr migrate`", True)
        for one in pending
    ]


def _runs(environment: Mapping[str, str]) -> list[Finding]:
    """Stuck runs and leaked slots of the instance, where there is one."""
    home = dagster_home(environment)
    if not home.exists():
        return []
    from synclr_assets.launch.instance import open_instance  # loads Dagster, which takes a second
    from synclr_assets.launch.stuck_runs import leaked_slots, stuck_runs

    instance = open_instance(home)
    stuck = stuck_runs(instance)
    findings = [
        Finding(
            f"run {one.run.run_id[:8]}",
            f"{one.run.job_name} is {one.run.status.value.lower()}, {one.because}",
            "`synclr doctor --free` ends it" + ("" if one.is_dead else f" with --run {one.run.run_id[:8]}"),
            True,
        )
        for one in stuck
    ]
    for slot in leaked_slots(instance, stuck):
        found = f"held by {slot.step_key} of run {slot.run_id[:8]}: {slot.because}"
        findings.append(Finding(f"pool {slot.pool}", found, "`synclr doctor --free` gives it back", True))
    return findings or [Finding("runs", "none is stuck, no pool slot is leaked", "nothing to free")]


def free_stuck(environment: Mapping[str, str], run_ids: Sequence[str]) -> Iterator[str]:
    """End dead runs, free their slots and all leaked ones; a line for each thing done."""
    from synclr_assets.launch.instance import open_instance  # loads Dagster, which takes a second
    from synclr_assets.launch.stuck_runs import free, leaked_slots, stuck_runs

    instance = open_instance(dagster_home(environment))
    stuck = stuck_runs(instance)
    yield from free(instance, stuck, leaked_slots(instance, stuck), run_ids)
