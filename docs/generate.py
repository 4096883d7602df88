"""Writes docs/reference from the code; with --check, fails where a page or the README's tree has drifted."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from synclr_assets.cli import cli as platform_cli
from synclr_assets.store.schemas import TABLES
from synclr_train.cli import main as trainer_cli
from synclr_train.recipes import RECIPES, get_recipe

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"
HEADER = "<!-- Written by docs/generate.py; change the code, then run `make docs`. -->\n\n"
TREE_LINE = re.compile(r"^(?P<indent> *)(?P<name>[\w.\-/]+)(?:  .*)?$")


def main() -> int:
    """Write the pages, or say which of them differ."""
    pages = {"cli.md": cli_page(), "tables.md": tables_page(), "recipes.md": recipes_page()}
    if "--check" not in sys.argv:
        REFERENCE.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (REFERENCE / name).write_text(text, encoding="utf-8")
        return 0
    faults = [
        f"docs/reference/{name} has drifted: run `make docs`"
        for name, text in pages.items()
        if not (REFERENCE / name).is_file() or (REFERENCE / name).read_text(encoding="utf-8") != text
    ]
    faults += tree_faults()
    print("\n".join(faults) or "docs are up to date")
    return 1 if faults else 0


def tables_page() -> str:
    """Every table with its columns."""
    lines = [HEADER + "# Tables\n", "Delta tables below `<store>/tables/`; keys identify a row.\n"]
    for spec in TABLES.values():
        lines.append(f"## {spec.name}\n\n{spec.description}.\n")
        partitions, key = ", ".join(spec.partition_by), ", ".join(spec.key)
        lines.append(f"Partitioned by {partitions}; key {key}; schema version {spec.schema_version}.\n")
        lines.append("| column | type | meaning |\n| --- | --- | --- |")
        lines += [
            f"| {name} | {str(kind).replace('|', '/')} | {about} |" for name, kind, about in spec.columns
        ]
        lines.append("")
    return "\n".join(lines)


def recipes_page() -> str:
    """Every recipe, complete, and its departures from the paper."""
    lines = [HEADER + "# Recipes\n", "`synclr-train recipe NAME` prints one of these.\n"]
    for name in RECIPES:
        recipe = get_recipe(name)
        about = (RECIPES[name].__doc__ or "").strip().splitlines()[0]
        lines.append(f"## {name}\n\n{about}\n")
        settings = json.loads(recipe.model_dump_json())
        departures = settings.pop("departures", [])
        if departures:
            lines.append("| setting | paper | here | why |\n| --- | --- | --- | --- |")
            lines += [f"| {d['what']} | {d['paper']} | {d['here']} | {d['why']} |" for d in departures]
            lines.append("")
        lines.append(f"```json\n{json.dumps(settings, indent=1)}\n```\n")
    return "\n".join(lines)


def cli_page() -> str:
    """The help of every command of both programs."""
    lines = [HEADER + "# Command line\n"]
    for program, group in (("synclr", platform_cli), ("synclr-train", trainer_cli)):
        for path, command in commands_of(program, group):
            context = click.Context(command, info_name=path, terminal_width=100, max_content_width=100)
            lines.append(f"## {path}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(lines)


def commands_of(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """The command and all below it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from commands_of(f"{path} {name}", below)


def tree_faults() -> list[str]:
    """Paths of the README's tree that do not exist, and modules that it does not name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition("```tree\n")[2].partition("```")[0]
    named: set[str] = set()
    parents: list[str] = []
    for line in block.splitlines():
        found = TREE_LINE.match(line)
        if found is None:
            continue
        depth = len(found["indent"]) // 2
        parents = [*parents[:depth], found["name"].rstrip("/")]
        named.add("/".join(parents))
    faults = [
        f"README.md's tree names {path}, which does not exist"
        for path in sorted(named)
        if not (ROOT / path).exists()
    ]
    packages = [p for top in ("synclr_assets", "synclr_train") for p in (ROOT / top).iterdir()]
    for path in sorted(packages):
        relative = str(path.relative_to(ROOT))
        if path.name.startswith("__") or (path.is_dir() and not (path / "__init__.py").exists()):
            continue
        if relative not in named:
            faults.append(f"README.md's tree does not name {relative}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
