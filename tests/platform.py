"""`synclr dev` over a folder's concept bank, as a child process, and questions to its GraphQL."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

REPOSITORY = Path(__file__).parents[1]
PATIENCE_S = 180
"""How long one step may take: shared machines are slow at times."""
POLL_S = 0.3

Found = TypeVar("Found")


@dataclass(frozen=True)
class RunningPlatform:
    """A `synclr dev` that answers, and the folders it reads."""

    url: str
    folder: Path
    log: Path

    @property
    def concepts(self) -> Path:
        return self.folder / "concepts"

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of a GraphQL answer. Raises AssertionError where it has errors."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        data: dict[str, Any] = found["data"]
        return data

    def wait_for(self, look: Callable[[], Found | None]) -> Found:
        """What `look` finds, as soon as it finds something. Raises AssertionError with the log where it never does."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = look()
            if found is not None:
                return found
            time.sleep(POLL_S)
        raise AssertionError(f"nothing was found in {PATIENCE_S} s:\n{self.log.read_text()[-5000:]}")


@contextmanager
def running_platform(folder: Path) -> Iterator[RunningPlatform]:
    """`synclr dev` over `folder`/concepts, with store and instance beside it; stopped at the end."""
    environment = {
        **os.environ,
        "SYNCLR_CONCEPTS": str(folder / "concepts"),
        "SYNCLR_STORE": str(folder / "store"),
        "DAGSTER_HOME": str(folder / "dagster"),
    }
    port = free_port()
    command = [str(Path(sys.executable).parent / "synclr"), "dev", "--port", str(port)]
    log = folder / "dev.log"
    with log.open("w") as written:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=written, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_it_answers(f"{url}/server_info", process, log)
        yield RunningPlatform(url, folder, log)
    finally:
        process.terminate()  # the parent alone: it stops its webserver, daemon and code server itself
        process.wait(PATIENCE_S)


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Raises RuntimeError with the server's log where it ends or stays silent."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S):
                return
        except OSError:
            time.sleep(POLL_S)
    raise RuntimeError(f"synclr dev does not answer on {url}:\n{log.read_text()}")
