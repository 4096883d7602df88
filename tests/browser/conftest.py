"""`synclr dev` over a tiny concept bank as a child process, and Debian's Chromium to look at it with.

SYNCLR_SCREENSHOTS=folder keeps a picture of every page the test names; docs/images/ is made so.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.platform import PATIENCE_S, RunningPlatform, running_platform
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
SCREENSHOTS = "SYNCLR_SCREENSHOTS"
SETTLING_MS = 3000
"""How long a page draws on before its picture is taken."""
BANK = {
    "letters.yaml": "captions: 24\nconcepts: [digit one, digit two, digit three, mug]\n",
    "weave.yaml": "captions: 8\nsource: textures\nconcepts: [striped texture]\n",
    "slices.yaml": "slices: {both: [letters, weave]}\n",
}


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    if CHROMIUM is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    folder = tmp_path_factory.mktemp("platform")
    write_bank(folder / "concepts", BANK)
    with running_platform(folder) as running:
        yield running


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
