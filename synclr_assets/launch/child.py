"""The child process of training and evaluation: the only code that meets both Pipes and torch.

Under torchrun every rank is such a process; only rank 0 speaks to Dagster.
"""

import os
import sys
from pathlib import Path

from dagster_pipes import (
    PipesContext,
    PipesDefaultContextLoader,
    PipesEnvVarParamsLoader,
    open_dagster_pipes,
)

from synclr_assets.launch.fitting import fit_task
from synclr_assets.launch.tasks import TASKS, EvalTask, FitTask, ProbeTask
from synclr_train.process import prepare_process

PROGRESS_LINES = 20


def main() -> int:
    """Do the one task that the parent passed; the trainer's files carry the result."""
    if int(os.environ.get("RANK", "0")):
        return _follow()
    with open_dagster_pipes() as pipes:
        task = TASKS.validate_python(pipes.get_extra("task"))
        prepare_process()
        from synclr_train.recorder import NonFiniteLossError

        try:
            if isinstance(task, FitTask):
                _fit(pipes, task)
            elif isinstance(task, ProbeTask):
                _probe(pipes, task)
            else:
                _evaluate(pipes, task)
        except (ValueError, NonFiniteLossError) as error:
            pipes.log.error(str(error))
            return 2
    return 0


def _follow() -> int:
    """Train as one of the ranks after the first. An error is told on stderr, which the step's log keeps."""
    parameters = PipesEnvVarParamsLoader().load_context_params()
    with PipesDefaultContextLoader().load_context(parameters) as data:
        task = TASKS.validate_python((data["extras"] or {})["task"])
    assert isinstance(task, FitTask)
    prepare_process()
    fit_task(task)
    return 0


def _fit(pipes: PipesContext, task: FitTask) -> None:
    from synclr_train.metrics import TrainingEvent

    said = -1

    def tell(event: TrainingEvent) -> None:
        nonlocal said
        part = event.step * PROGRESS_LINES // max(event.total_steps, 1)
        if part != said or event.message:
            said = part
            loss = event.metrics.get("loss")
            shown = f", loss {loss:.3f}" if loss is not None else ""
            pipes.log.info(f"step {event.step} of {event.total_steps}{shown} {event.message}".rstrip())

    fit_task(task, tell)


def _probe(pipes: PipesContext, task: ProbeTask) -> None:
    from synclr_train.evals.events import said
    from synclr_train.evals.linear_probe import run_linear_probe

    run_linear_probe(
        Path(task.encoder_dir),
        Path(task.out_dir),
        datasets=task.datasets,
        split=task.split,
        baselines=task.baselines,
        cache_dir=Path(task.cache_dir) if task.cache_dir else None,
        on_event=lambda event: pipes.log.info(said(event)),
    )


def _evaluate(pipes: PipesContext, task: EvalTask) -> None:
    from synclr_train.evals.events import said
    from synclr_train.evals.segmentation import LINEAR, run_segmentation

    run_segmentation(
        Path(task.encoder_dir),
        Path(task.out_dir),
        dataset=task.dataset,
        head=task.head or LINEAR,
        split=task.split,
        baselines=task.baselines,
        on_event=lambda event: pipes.log.info(said(event)),
    )


if __name__ == "__main__":
    sys.exit(main())
