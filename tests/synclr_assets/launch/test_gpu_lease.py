"""GPU leases on a machine whose GPUs are made up: nvidia-smi is a script, everything else is real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synclr_assets.launch.gpu_lease import TooFewGpusError, gpus_of_machine, hold_gpus, leasing_command

HOLDER = (
    "import os, sys, time; print(os.environ.get('CUDA_VISIBLE_DEVICES', 'unset'), flush=True); time.sleep(60)"
)
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Makes an environment in which nvidia-smi -L says what it is given."""

    def make(listing: str) -> dict[str, str]:
        tools = tmp_path / "bin"
        tools.mkdir(exist_ok=True)
        tool = tools / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}\nEND\n")
        tool.chmod(0o755)
        given = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        return given | {"PATH": f"{tools}:/usr/bin:/bin", "SYNCLR_GPU_LOCKS": str(tmp_path / "locks")}

    return make


def gpus(count: int) -> str:
    return "\n".join(f"GPU {n}: NVIDIA H100 80GB HBM3 (UUID: GPU-{n}a)" for n in range(count))


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that holds GPUs and prints its CUDA_VISIBLE_DEVICES; all end with the test."""
    started = []

    def begin(count: int, environment: dict[str, str]) -> "subprocess.Popen[str]":
        command = leasing_command(count, [sys.executable, "-c", HOLDER])
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def devices_of(process: "subprocess.Popen[str]") -> set[str]:
    assert process.stdout is not None
    return set(process.stdout.readline().strip().split(","))


def waits(process: "subprocess.Popen[str]") -> bool:
    assert process.stderr is not None
    return "waiting for" in process.stderr.readline()


def test_several_processes_never_share_a_gpu(machine: Callable[[str], dict[str, str]], start: Start) -> None:
    environment = machine(gpus(4))
    held = [devices_of(process) for process in [start(1, environment) for _ in range(4)]]
    assert sorted(device for one in held for device in one) == ["GPU-0a", "GPU-1a", "GPU-2a", "GPU-3a"]


def test_a_killed_holder_frees_its_gpu(machine: Callable[[str], dict[str, str]], start: Start) -> None:
    environment = machine(gpus(1))
    first = start(1, environment)
    assert devices_of(first) == {"GPU-0a"}
    second = start(1, environment)
    assert waits(second)
    first.send_signal(signal.SIGKILL)
    assert devices_of(second) == {"GPU-0a"}


def test_two_that_need_both_gpus_do_not_wait_for_each_other(
    machine: Callable[[str], dict[str, str]], start: Start
) -> None:
    environment = machine(gpus(2))
    one = start(1, environment)
    taken = devices_of(one)
    large, larger = start(2, environment), start(2, environment)
    assert waits(large)
    assert waits(larger)
    one.kill()
    pair = {large: "", larger: ""}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not any(pair.values()):
        for process in pair:
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            pair[process] = process.stdout.readline()
        time.sleep(0.05)
    (first,) = [process for process, said in pair.items() if said]
    assert set(pair[first].strip().split(",")) == {"GPU-0a", "GPU-1a"} > taken
    first.kill()
    (second,) = set(pair) - {first}
    assert second.stdout is not None
    os.set_blocking(second.stdout.fileno(), True)
    assert devices_of(second) == {"GPU-0a", "GPU-1a"}


def test_a_killed_waiter_lets_the_next_one_in(machine: Callable[[str], dict[str, str]], start: Start) -> None:
    environment = machine(gpus(1))
    holder = start(1, environment)
    devices_of(holder)
    waiter, patient = start(1, environment), start(1, environment)
    assert waits(waiter)
    assert waits(patient)
    waiter.kill()
    waiter.wait()
    holder.kill()
    assert devices_of(patient) == {"GPU-0a"}


def test_a_child_uses_what_its_parent_holds_and_leases_only_the_rest(
    machine: Callable[[str], dict[str, str]], start: Start
) -> None:
    environment = machine(gpus(3)) | {"CUDA_VISIBLE_DEVICES": "0,2"}
    inner = leasing_command(2, [sys.executable, "-c", HOLDER])
    command = leasing_command(1, inner)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert devices_of(process) == {"GPU-0a", "GPU-2a"}
        process.kill()


def test_without_a_gpu_nothing_changes(machine: Callable[[str], dict[str, str]]) -> None:
    environment = machine("")
    before = dict(environment)
    assert hold_gpus(1, environment) == []
    assert environment == before
    assert leasing_command(0, ["train"]) == ["train"]


def test_more_gpus_than_there_are_is_one_sentence(machine: Callable[[str], dict[str, str]]) -> None:
    with pytest.raises(TooFewGpusError, match="8 GPUs are asked for, but this machine has 2: ask for fewer"):
        hold_gpus(8, machine(gpus(2)))


MIG = """GPU 0: NVIDIA A100 (UUID: GPU-0a)
  MIG 3g.20gb     Device  0: (UUID: MIG-0a)
  MIG 3g.20gb     Device  1: (UUID: MIG-0b)
GPU 1: NVIDIA A100 (UUID: GPU-1a)"""


@pytest.mark.parametrize(
    ("listing", "allowed", "found"),
    [
        (gpus(2), None, ["GPU-0a", "GPU-1a"]),
        (gpus(3), "2,0", ["GPU-2a", "GPU-0a"]),
        (gpus(3), "GPU-1", ["GPU-1a"]),
        (gpus(3), "1", ["GPU-1a"]),
        (gpus(2), "", []),
        (gpus(2), "-1", []),
        (MIG, None, ["MIG-0a", "MIG-0b", "GPU-1a"]),
        (MIG, "MIG-0b", ["MIG-0b"]),
    ],
)
def test_gpus_are_found_by_nvidia_smi(
    machine: Callable[[str], dict[str, str]], listing: str, allowed: str | None, found: list[str]
) -> None:
    environment = machine(listing) | ({} if allowed is None else {"CUDA_VISIBLE_DEVICES": allowed})
    assert gpus_of_machine(environment) == found


def test_a_device_that_is_not_there_is_one_sentence(machine: Callable[[str], dict[str, str]]) -> None:
    with pytest.raises(ValueError, match="names 7, which nvidia-smi -L does not list"):
        gpus_of_machine(machine(gpus(2)) | {"CUDA_VISIBLE_DEVICES": "0,7"})


def test_a_broken_driver_is_one_sentence(machine: Callable[[str], dict[str, str]], tmp_path: Path) -> None:
    environment = machine("")
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho Failed to initialize NVML\nexit 18\n")
    with pytest.raises(ValueError, match=r"nvidia-smi -L fails \(Failed to initialize NVML\)"):
        hold_gpus(1, environment)
