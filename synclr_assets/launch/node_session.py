"""What a training on several machines has of Dagster: a name, and a session over files of their shared folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from synclr_assets.launch.tasks import FitTask


@contextmanager
def node_session(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, task: FitTask
) -> Iterator[tuple[str, dict[str, str]]]:
    """The attempt's name, and variables by which each machine finds task and Dagster."""
    folder = Path(task.out_dir)
    name = f"synclr-fit-{context.run_id[:8]}-{context.retry_number}"
    with dg.open_pipes_session(
        context=context,
        context_injector=dg.PipesFileContextInjector(str(folder / f"{name}-context.json")),
        message_reader=dg.PipesFileMessageReader(str(folder / f"{name}-messages.jsonl")),
        extras={"task": task.model_dump(mode="json")},
    ) as session:
        yield name, dict(session.get_bootstrap_env_vars())
