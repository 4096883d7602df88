"""`synclr dev` over a tiny concept bank as a child process, and Debian's Chromium to look at it with.

SYNCLR_SCREENSHOTS=folder keeps a picture of every page the test names; docs/images/ is made so.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.synclr_assets.conftest import write_bank

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
REPOSITORY = Path(__file__).parents[2]
SCREENSHOTS = "SYNCLR_SCREENSHOTS"
PATIENCE_S = 180
"""How long one step may take: shared machines are slow at times."""
SETTLING_MS = 3000
"""How long a page draws on before its picture is taken."""
BANK = {
    "letters.yaml": "captions: 24\nconcepts: [digit one, digit two, digit three, mug]\n",
    "weave.yaml": "captions: 8\nsource: textures\nconcepts: [striped texture]\n",
    "slices.yaml": "slices: {both: [letters, weave]}\n",
}


@dataclass(frozen=True)
class RunningPlatform:
    """A `synclr dev` that answers, and the concept folder it reads."""

    url: str
    concepts: Path


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    if CHROMIUM is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    folder = tmp_path_factory.mktemp("platform")
    write_bank(folder / "concepts", BANK)
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
        yield RunningPlatform(url, folder / "concepts")
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
            time.sleep(0.3)
    raise RuntimeError(f"synclr dev does not answer on {url}:\n{log.read_text()}")


@dataclass(frozen=True)
class Faults:
    """What the browser complained about: script errors, and answers of the server that are refusals."""

    seen: list[str]

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.seen.append(str(error)))
        page.on(
            "response",
            lambda answer: answer.status >= 400 and self.seen.append(f"{answer.status} {answer.url}"),
        )


@pytest.fixture
def faults() -> Faults:
    return Faults([])


@pytest.fixture
def page(platform: RunningPlatform, faults: Faults) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(base_url=platform.url, viewport={"width": 1440, "height": 900})
        context.set_default_timeout(PATIENCE_S * 1000)
        opened = context.new_page()
        faults.watch(opened)
        yield opened
        browser.close()


@pytest.fixture
def picture(page: Page) -> Callable[[str], None]:
    """Keeps a screenshot of the page as it is, where SYNCLR_SCREENSHOTS names a folder."""

    def keep(name: str) -> None:
        folder = os.environ.get(SCREENSHOTS)
        if folder:
            page.wait_for_timeout(SETTLING_MS)
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    return keep
