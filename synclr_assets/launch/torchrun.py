"""Command lines of training over several processes: torchrun around the child. Starts nothing, imports no torch."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

RENDEZVOUS_PORT = 29400


class NodesFailedError(RuntimeError):
    """A machine of the training failed; its log says why, and the next attempt continues from the resume point."""


@dataclass(frozen=True)
class Nodes:
    """The machines of one training, as one of them sees them."""

    count: int
    rank: str
    """Number of this machine from 0; a shell variable where the command line is written for all of them."""
    head: str
    """Host name of machine 0."""
    port: int = RENDEZVOUS_PORT


def torchrun_command(processes: int, module: str, run_id: str, nodes: Nodes | None = None) -> list[str]:
    """torchrun over `processes` processes of `module` on this machine, alone or as one of several nodes.

    A process that fails ends all: the training continues from its resume point when its step runs again, so torchrun
    itself restarts none. On a kill of torchrun its processes die with it.
    """
    where = ["--standalone"] if nodes is None else _rendezvous(nodes, run_id)
    return [
        *(sys.executable, "-m", "torch.distributed.run"),
        *where,
        f"--nproc-per-node={processes}",
        "--max-restarts=0",
        "--no-python",
        *dying_with_parent("KILL"),
        *(sys.executable, "-m", module),
    ]


def dying_with_parent(signal_name: str) -> Sequence[str]:
    """A prefix under which a command gets the signal when its parent dies; empty where there is no setpriv."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal_name, "--"] if setpriv else []


def _rendezvous(nodes: Nodes, run_id: str) -> list[str]:
    return [
        f"--nnodes={nodes.count}",
        f"--node-rank={nodes.rank}",
        "--rdzv-backend=static",
        f"--master-addr={nodes.head}",
        f"--master-port={nodes.port}",
        f"--rdzv-id={run_id}",
    ]
