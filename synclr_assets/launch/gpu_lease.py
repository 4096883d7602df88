"""Leases of CUDA devices between the processes of one machine: one lock file per GPU, freed by the kernel on death.

Also a program: `python -m synclr_assets.launch.gpu_lease N -- COMMAND` becomes COMMAND with N devices leased. Imports
nothing beyond the standard library, so it costs a process nothing and runs before torch can look for devices.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
LEASED = "SYNCLR_LEASED_GPUS"
"""What this process or the one that started it holds, as a comma-separated list of device ids."""
OFFERED = "SYNCLR_OFFERED_GPUS"
"""CUDA_VISIBLE_DEVICES as it was before the lease, for a child process that needs more; absent: every device."""
LOCK_FOLDER = "SYNCLR_GPU_LOCKS"
TURNSTILE = "turnstile"
POLL_SECONDS = 0.2
NVIDIA_SMI_SECONDS = 30
MODULE = "synclr_assets.launch.gpu_lease"

_GPU_LINE = re.compile(r"^GPU (?P<index>\d+): .*\(UUID: (?P<uuid>GPU-[^)]+)\)")
_MIG_LINE = re.compile(r"^\s+MIG .*\(UUID: (?P<uuid>MIG-[^)]+)\)")

_held: list[int] = []
"""Descriptors of this process's locks, open until it ends: a CUDA context cannot be moved to another device."""


class TooFewGpusError(ValueError):
    """More GPUs are asked for than the machine has; the message says how many there are."""


def lock_folder(environment: Mapping[str, str]) -> Path:
    """SYNCLR_GPU_LOCKS, else one folder in the temporary folder that all users of the machine share."""
    return Path(environment.get(LOCK_FOLDER) or Path(tempfile.gettempdir()) / "synclr-gpu-locks")


def gpus_of_machine(environment: Mapping[str, str]) -> list[str]:
    """UUIDs of the GPUs, or of their MIG slices, in nvidia-smi's order; only those CUDA_VISIBLE_DEVICES allows.

    Empty where there is no GPU. Raises ValueError where nvidia-smi is there and fails, or an allowed device is not.
    """
    allowed = environment.get(VISIBLE)
    if allowed is not None and allowed.strip() in ("", "-1"):
        return []
    found = _listed(environment)
    if allowed is None:
        return [device for gpu in found for device in gpu]
    by_index = {str(index): gpu for index, gpu in enumerate(found)}
    chosen: list[str] = []
    for name in (part.strip() for part in allowed.split(",")):
        matches = by_index.get(name) or [d for gpu in found for d in gpu if d.startswith(name)]
        if not matches:
            raise ValueError(f"{VISIBLE}={allowed} names {name}, which nvidia-smi -L does not list: mend it.")
        chosen += [device for device in matches if device not in chosen]
    return chosen


def hold_gpus(
    count: int, environment: MutableMapping[str, str], on_wait: Callable[[str], None] = lambda message: None
) -> list[str]:
    """Lease GPUs for as long as this process lives and name them in CUDA_VISIBLE_DEVICES. Returns their ids.

    What is held already, by this process or the one that started it, counts. Waits while all are taken: first come,
    first served, so a process that needs many is not overtaken. On a machine without a GPU it changes nothing.
    Raises TooFewGpusError. Call it before CUDA is initialised.
    """
    inherited = [device for device in environment.get(LEASED, "").split(",") if device]
    if len(inherited) >= count:
        return inherited[:count]
    devices = [device for device in gpus_of_machine(_without_lease(environment)) if device not in inherited]
    if not devices and not inherited:
        return []
    missing = count - len(inherited)
    if len(devices) < missing:
        raise TooFewGpusError(
            f"{count} GPUs are asked for, but this machine has {len(devices) + len(inherited)}: "
            "ask for fewer in section compute, or run it on a larger machine."
        )
    leased = inherited + _take(missing, devices, lock_folder(environment), on_wait)
    if not inherited and VISIBLE in environment:
        environment[OFFERED] = environment[VISIBLE]
    environment[LEASED] = environment[VISIBLE] = ",".join(leased)
    return leased


def leasing_command(count: int, command: Sequence[str]) -> list[str]:
    """The command with `count` GPUs leased to its very process; itself where it needs none."""
    return [sys.executable, "-m", MODULE, str(count), "--", *command] if count else list(command)


def main(arguments: Sequence[str]) -> None:
    """Lease, then become the command: the locks go with the process, not with whoever started it."""
    count, separator, *command = arguments
    assert separator == "--"
    assert command
    hold_gpus(int(count), os.environ, lambda message: print(message, file=sys.stderr, flush=True))
    for descriptor in _held:
        os.set_inheritable(descriptor, True)
    os.execvpe(command[0], command, os.environ)


def _without_lease(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was before a lease narrowed CUDA_VISIBLE_DEVICES."""
    if not environment.get(LEASED):
        return dict(environment)
    whole = {name: value for name, value in environment.items() if name != VISIBLE}
    return whole | ({VISIBLE: environment[OFFERED]} if OFFERED in environment else {})


def _listed(environment: Mapping[str, str]) -> list[list[str]]:
    """Per physical GPU its MIG slices, or itself."""
    tool = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if tool is None:
        return []
    answer = subprocess.run(
        [tool, "-L"], capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=False
    )
    if answer.returncode:
        said = " ".join((answer.stdout + answer.stderr).split())
        raise ValueError(f"nvidia-smi -L fails ({said}): mend the driver, or set {VISIBLE} to nothing.")
    gpus: list[tuple[str, list[str]]] = []
    for line in answer.stdout.splitlines():
        if gpu := _GPU_LINE.match(line):
            gpus.append((gpu["uuid"], []))
        elif mig := _MIG_LINE.match(line):
            gpus[-1][1].append(mig["uuid"])
    return [slices or [uuid] for uuid, slices in gpus]


def _take(count: int, devices: Sequence[str], folder: Path, on_wait: Callable[[str], None]) -> list[str]:
    """Lock `count` of the devices. Whoever waits holds the turnstile, so two never wait for each other's."""
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):  # another user's folder has the mode already
        folder.chmod(0o1777)
    turnstile = _open(folder / TURNSTILE)
    taken: dict[str, int] = {}
    waited = False
    try:
        while not _locked(turnstile):
            waited = _say_once(waited, on_wait, count)
            time.sleep(POLL_SECONDS)
        while len(taken) < count:
            for device in devices:
                if device not in taken and len(taken) < count:
                    descriptor = _open(folder / f"{device}.lock")
                    if _locked(descriptor):
                        taken[device] = descriptor
                    else:
                        os.close(descriptor)
            if len(taken) < count:
                waited = _say_once(waited, on_wait, count)
                time.sleep(POLL_SECONDS)
    except BaseException:
        for descriptor in taken.values():
            os.close(descriptor)
        raise
    finally:
        os.close(turnstile)
    _held.extend(taken.values())
    return list(taken)


def _say_once(waited: bool, on_wait: Callable[[str], None], count: int) -> bool:
    if not waited:
        on_wait(f"waiting for {count} free GPU{'s' if count > 1 else ''} of this machine")
    return True


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with suppress(PermissionError):  # another user made it; it is open, which is enough to lock it
        os.fchmod(descriptor, 0o666)
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
