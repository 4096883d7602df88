"""Losing a machine of a Ray cluster of this machine's raylets."""

import contextlib
from typing import Any

import psutil


def kill_machine(cluster: Any, node: Any) -> list[list[str]]:
    """Kill all that the node started, as a power cut does; their command lines.

    A raylet's death alone leaves a step's process working to its end.
    """
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    processes = [raylet, *raylet.children(recursive=True)]
    commands = [process.cmdline() for process in processes]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    cluster.remove_node(node, allow_graceful=False)
    return commands
