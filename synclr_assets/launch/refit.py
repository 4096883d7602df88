"""`python -m synclr_assets.launch.refit TASK.json`: one training without Dagster, in a process of its own."""

import sys
from pathlib import Path

from synclr_assets.launch.fitting import fit_task
from synclr_assets.launch.tasks import FitTask
from synclr_train.process import prepare_process


def main(task_file: str) -> int:
    """Train what the task says; the trainer's files carry the result."""
    task = FitTask.model_validate_json(Path(task_file).read_text(encoding="utf-8"))
    prepare_process()
    from synclr_train.recorder import NonFiniteLossError

    try:
        fit_task(task)
    except (ValueError, NonFiniteLossError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
