"""What the runbook and the operating manual tell people to type exists, and faults are named as the code names them."""

import re
from pathlib import Path

import click
import pytest

from synclr_assets.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = ("runbook.md", "operations.md", "scale.md")
COMMAND = re.compile(r"`(synclr [a-z][^`]*)`|^(synclr [a-z].*)$", re.MULTILINE)
FEWEST_FAULTS = 10
SAID = (
    "were made with settings",
    "Another run took over",
    "A later attempt of this step has it",
    "The world changed since plan",
    "has schema version",
)


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for quoted, written in COMMAND.findall((ROOT / "docs" / page).read_text()):
            found.append((page, (quoted or written).partition("#")[0].strip()))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_exists_with_its_options(page: str, line: str) -> None:
    command: click.Command = cli
    for word in line.split()[1:]:
        if word.startswith(("--", "[--")):
            option = word.strip("[]").partition("=")[0]
            known = {name for parameter in command.params for name in parameter.opts}
            assert option in known, f"{page}: {line}"
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"{page}: {line}"
            command = found


def test_the_runbook_names_ten_faults_with_cause_and_cure() -> None:
    lines = (ROOT / "docs" / "runbook.md").read_text().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][2:]
    assert len(rows) >= FEWEST_FAULTS
    assert all(len(row) == 3 and all(row) for row in rows), rows


@pytest.mark.parametrize("sentence", SAID)
def test_a_fault_is_quoted_as_the_software_says_it(sentence: str) -> None:
    assert sentence in (ROOT / "docs" / "runbook.md").read_text()
    sources = (path.read_text() for path in (ROOT / "synclr_assets").rglob("*.py"))
    assert any(sentence in re.sub(r'"\s*f?"', "", source) for source in sources)
