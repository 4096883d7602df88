"""One machine of a training through Ray. The whole, with a machine lost, is `python -m tests.long.two_nodes_ray`."""

import sys
from pathlib import Path

import pytest

from synclr_assets.launch.ray_nodes import run_node
from synclr_assets.launch.torchrun import NodesFailedError


def test_a_node_sees_the_variables_of_the_session(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(os.environ['DAGSTER_PIPES_CONTEXT'])"
    )
    run_node(
        [sys.executable, "-c", program, str(tmp_path / "seen")], {"DAGSTER_PIPES_CONTEXT": "the session"}
    )
    assert (tmp_path / "seen").read_text() == "the session"


def test_a_torchrun_that_fails_says_its_status() -> None:
    with pytest.raises(NodesFailedError, match="torchrun ended with status 3"):
        run_node([sys.executable, "-c", "raise SystemExit(3)"], {})
