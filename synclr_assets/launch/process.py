"""Running a task in a child process: a crash or an out-of-memory kill takes the child, not the run."""

import shutil
import sys
import warnings
from collections.abc import Sequence

import dagster as dg

from synclr_assets.launch.tasks import EvalTask, FitTask

CHILD = "synclr_assets.launch.child"


def run_task(
    context: dg.AssetExecutionContext, client: dg.PipesSubprocessClient, task: FitTask | EvalTask
) -> None:
    """Run the task to its end, streaming its log lines. Raises DagsterPipesExecutionError where it fails."""
    extras = {"task": task.model_dump(mode="json")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        client.run(context=context, command=child_command(), extras=extras)


def child_command() -> Sequence[str]:
    """The child's command line. Where the system has setpriv, the child dies with the step that started it."""
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
    return [*prefix, sys.executable, "-m", CHILD]
