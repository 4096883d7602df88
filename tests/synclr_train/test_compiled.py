"""torch.compile changes neither what is learnt, beyond rounding, nor the names of weights."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from synclr_train.compiling import require_compiler
from synclr_train.run_files import latest_checkpoint
from synclr_train.training import fit

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler: apt-get install g++"
)


@needs_compiler
def test_compiled_blocks_learn_the_same(tmp_path, shards, whole_recipe):
    recipe = whole_recipe(steps=4, checkpoint_every_steps=2)
    plain = fit(recipe, shards, tmp_path / "plain")
    compiled = fit(recipe.varied(compiles=True), shards, tmp_path / "compiled")
    for name, loss in plain.final_losses.items():
        assert compiled.final_losses[name] == pytest.approx(loss, rel=1e-4)
    mine, theirs = (load_file(latest_checkpoint(tmp_path / name)) for name in ("plain", "compiled"))
    assert mine.keys() == theirs.keys()


@needs_compiler
def test_a_run_may_continue_compiled(tmp_path, shards, whole_recipe):
    recipe = whole_recipe(steps=4, checkpoint_every_steps=2, checkpoints_kept=2)
    fit(recipe, shards, tmp_path / "run")
    latest_checkpoint(tmp_path / "run").unlink()
    fit(recipe.varied(compiles=True), shards, tmp_path / "run")
    assert latest_checkpoint(tmp_path / "run").name == "step-000000000004.safetensors"


def test_without_a_compiler_it_says_so_before_the_first_step(tmp_path, shards, tiny_recipe, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ValueError, match=r"needs a C\+\+ compiler on a CPU and finds no no-such-compiler: install"
    ):
        fit(tiny_recipe(compiles=True), shards, tmp_path / "run")
    assert latest_checkpoint(tmp_path / "run") is None
    fit(tiny_recipe(steps=4), shards, tmp_path / "plain")


def test_a_gpu_needs_no_compiler_for_a_cpu(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    require_compiler(torch.device("cuda"))
