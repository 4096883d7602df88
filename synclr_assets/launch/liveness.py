"""Whether the process that works on a run is alive, as far as this machine can tell. Changes nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

PROCESS_TAG = "synclr/process"
"""Run tag: host, process id and start time of the process that executes the run."""


def this_process() -> str:
    """Value of PROCESS_TAG for this process."""
    return f"{socket.gethostname()}:{os.getpid()}:{started_at(os.getpid())}"


def started_at(process_id: int) -> str:
    """When a process of this machine started, in the kernel's own units; empty where it does not run.

    With the id it names a process for good: ids are used again.
    """
    stat = Path(f"/proc/{process_id}/stat")
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else fields[19]


def is_alive(process: str) -> bool | None:
    """Whether the process of a PROCESS_TAG runs; None where it is on another machine or cannot be looked up."""
    host, _, rest = process.partition(":")
    process_id, _, started = rest.partition(":")
    if host != socket.gethostname() or not Path("/proc/self/stat").exists():
        return None
    return started_at(int(process_id)) == started


def is_dagster_process(process_id: int) -> bool:
    """Whether a process of this machine with that id runs Dagster; an id that went to another program is not it."""
    try:
        command = Path(f"/proc/{process_id}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"dagster" in command or b"synclr" in command
