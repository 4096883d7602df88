"""The command line: train, print, export; users' mistakes get one sentence."""

import json
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from synclr_train import cli
from synclr_train.recipes import RECIPES, get_recipe
from synclr_train.run_files import latest_checkpoint


def run(*arguments: object):
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


@pytest.fixture
def tiny_in_registry(monkeypatch, tiny_recipe):
    monkeypatch.setattr(cli, "get_recipe", lambda name: tiny_recipe() if name == "tiny" else get_recipe(name))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_are_printed_whole(name):
    expected = get_recipe(name).model_dump(mode="json")
    assert yaml.safe_load(run("recipe", name).output) == expected
    assert json.loads(run("recipe", name, "--format", "json").output) == expected


def test_fit_then_export(tmp_path, shards, tiny_in_registry):
    pattern = shards[0].parent / "*.tar"
    trained = run("fit", "--recipe", "tiny", "--shards", pattern, "--out", tmp_path / "run", "--steps", 4)
    assert trained.exit_code == 0, trained.output
    assert "4 steps" in trained.output
    exported = run("export", tmp_path / "run", "--out", tmp_path / "out", "--network", "student")
    assert exported.exit_code == 0, exported.output
    assert (tmp_path / "out" / "encoder.safetensors").is_file()
    again = run("export", tmp_path / "out", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert "transformers has no class" in again.output
    for name in ("encoder.safetensors", "config.json", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_settings_of_the_machine_are_replaced(tmp_path, shards, tiny_in_registry):
    pattern = shards[0].parent / "*.tar"
    command = ("fit", "--recipe", "tiny", "--shards", pattern, "--out", tmp_path / "run", "--steps", 4)
    trained = run(*command, "--num-workers", 1, "--devices", 1, "--strategy", "ddp", "--no-compile")
    assert trained.exit_code == 0, trained.output
    written = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert (written["num_workers"], written["devices"], written["strategy"]) == (1, 1, "ddp")
    assert written["compiles"] is False


def test_a_run_continues_with_other_settings_of_the_machine(tmp_path, shards, tiny_in_registry):
    """Its weights are those of a run that never stopped; another seed would be another run and is refused."""
    pattern = shards[0].parent / "*.tar"
    command = ("fit", "--recipe", "tiny", "--shards", pattern)
    assert run(*command, "--out", tmp_path / "whole").exit_code == 0
    assert run(*command, "--out", tmp_path / "run").exit_code == 0
    latest_checkpoint(tmp_path / "run").unlink()
    (tmp_path / "run" / "encoder.safetensors").unlink()
    half_way = latest_checkpoint(tmp_path / "run")
    written_at = half_way.stat().st_mtime_ns
    continued = run(*command, "--out", tmp_path / "run", "--workers", 1, "--strategy", "ddp")
    assert continued.exit_code == 0, continued.output
    assert half_way.stat().st_mtime_ns == written_at, "it began anew"
    weights = [(tmp_path / name / "encoder.safetensors").read_bytes() for name in ("whole", "run")]
    assert weights[0] == weights[1]
    other = run(*command, "--out", tmp_path / "run", "--seed", 5)
    assert other.exit_code == 1
    assert "holds a run with another recipe" in other.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("fit", "--recipe", "none", "--shards", "*.tar", "--out", "x"),
            "recipe 'none' does not exist: choose",
        ),
        (
            ("fit", "--recipe", "rehearsal", "--shards", "no/*.tar", "--out", "x"),
            "'no/*.tar' matches no file",
        ),
        (
            ("fit", "--recipe", "rehearsal", "--shards", __file__, "--out", "x", "--strategy", "fsdp"),
            "recipe 'rehearsal': strategy 'fsdp' needs heads.norm 'layer'",
        ),
        (("recipe", "none"), "recipe 'none' does not exist: choose"),
        (("export", "nowhere", "--out", "x"), "nowhere holds no run"),
        (("import", "nowhere.pth", "--arch", "vit_b16", "--out", "x"), "nowhere.pth does not exist"),
        (("import", "nowhere.pth", "--arch", "resnet", "--out", "x"), "architecture 'resnet' is unknown"),
    ],
)
def test_mistakes_get_one_sentence(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_help_and_recipes_need_no_torch():
    program = """
import sys
sys.modules["torch"] = None
from click.testing import CliRunner
from synclr_train.cli import main
help = CliRunner().invoke(main, ["--help"])
assert help.exit_code == 0, help.output
assert all(name in help.output for name in ("fit", "recipe", "export", "import", "probe", "segment")), help.output
assert CliRunner().invoke(main, ["recipe", "vit_b16"]).exit_code == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True)
