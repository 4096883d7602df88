"""`python -m tests.long.ray_namespaces`: as ray_node_loss, with every node in a network namespace of its own.

Nodes reach each other over a bridge only, as machines do; needs root and `ip`. The node that draws is not killed: its
cable is pulled. Its step goes on drawing into the shared store while the retry runs elsewhere, so this also shows that
the fence of decision 2 holds: every table and shard equals those of an undisturbed run.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.long.ray_node_loss import STORE_BYTES, compare

NETWORK = "10.77.0"
BRIDGE = "synclrbr"
HEAD = f"{NETWORK}.1"
DASHBOARD_PORT = 8265
"""Not of 10002 to 19999, which Ray gives to its workers."""
RAY_FOLDER = "/tmp/ray"
"""Sockets of two nodes in one folder would meet; as machines do, each sees a folder of its own."""
NAMES = ("synclra", "synclrb")
START_SECONDS = 150
NUM_CAPTIONS = 4000
"""Enough that the lost step still draws when Ray misses its node, after about ten seconds."""
IMPATIENCE = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""Ray's own settings miss a silent node after a minute."""


class NamespacedNodes:
    """A head without cores beside the bridge, and two workers, each behind a cable of its own."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._names: dict[str, str] = {}
        self._head: Any = None
        self._logs = Path(tempfile.mkdtemp(prefix="synclr-ray-"))
        try:
            self._build()
        except BaseException:
            self.stop()
            raise

    def _build(self) -> None:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{HEAD}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, name in enumerate(NAMES, 2):
            ip("netns", "add", name)
            ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", name, "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        os.environ.update(IMPATIENCE)
        from ray.cluster_utils import Cluster

        place = {"node_ip_address": HEAD, "dashboard_host": HEAD, "dashboard_port": DASHBOARD_PORT}
        sizes = {"num_cpus": 0, "object_store_memory": STORE_BYTES}
        self._head = Cluster(
            initialize_head=True, head_node_args={**place, **sizes, "include_dashboard": True}
        )
        for number, name in enumerate(NAMES, 2):
            joined = (f"--address={self._head.address}", f"--node-ip-address={NETWORK}.{number}")
            self._start(name, *joined, "--num-cpus=2", "--num-gpus=1", f"--memory={4 * 2**30}")
        self._await_workers()

    def lose(self, node_id: str) -> str:
        """Pull the node's cable, and say so; its processes live on."""
        ip("link", "set", self._names[node_id], "down")
        return "its cable was pulled"

    def stop(self) -> None:
        """End all nodes, and take the network down."""
        for name in NAMES:
            for process_id in processes_of(name):
                os.kill(process_id, signal.SIGKILL)
        for process in self._processes:
            process.terminate()
            process.wait()
        if self._head is not None:
            self._head.shutdown()
        for name in NAMES:
            subprocess.run(["ip", "link", "del", name], check=False)
            subprocess.run(["ip", "netns", "del", name], check=False)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False)

    def _start(self, namespace: str, *arguments: str) -> None:
        ray = [
            str(Path(sys.executable).parent / "ray"),
            "start",
            "--block",
            f"--object-store-memory={STORE_BYTES}",
        ]
        own_folder = f"mount -t tmpfs tmpfs {RAY_FOLDER} && exec {shlex.join([*ray, *arguments])}"
        command = ["ip", "netns", "exec", namespace, "sh", "-c", own_folder]
        with (self._logs / f"{namespace}.log").open("w") as written:
            self._processes.append(subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT))

    def _await_workers(self) -> None:
        """Wait for both, and learn which id is behind which cable."""
        from ray.util.state import list_nodes

        address = f"http://{HEAD}:{DASHBOARD_PORT}"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            nodes = [node for node in list_nodes(address) if not node.is_head_node]
            if len(nodes) == len(NAMES):
                self._names = {
                    node.node_id: NAMES[int(node.node_ip.rpartition(".")[2]) - 2] for node in nodes
                }
                return
            time.sleep(1)
        said = "\n".join(path.read_text()[-2000:] for path in sorted(self._logs.iterdir()))
        raise AssertionError(f"the workers did not join the head:\n{said}")


def processes_of(namespace: str) -> list[int]:
    """Ids of its processes; none where there is no such namespace."""
    found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def ip(*arguments: str) -> None:
    """One `ip` command. Raises CalledProcessError."""
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    compare(f"http://{HEAD}:{DASHBOARD_PORT}", NamespacedNodes, NUM_CAPTIONS)
