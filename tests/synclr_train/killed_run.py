"""A training process that tests kill: `python killed_run.py FOLDER STEP SHARD...` kills itself after STEP."""

import os
import signal
import sys
from pathlib import Path

from synclr_train.config import Recipe
from synclr_train.metrics import TrainingEvent
from synclr_train.training import fit


def main(folder: str, step: str, *shards: str) -> None:
    """Train the recipe in FOLDER and send SIGKILL to this process after STEP."""

    def kill(event: TrainingEvent) -> None:
        if event.step == int(step):
            os.kill(os.getpid(), signal.SIGKILL)

    recipe = Recipe.model_validate_json((Path(folder) / "recipe.json").read_text())
    fit(recipe, [Path(shard) for shard in shards], Path(folder) / "run", on_event=kill)


if __name__ == "__main__":
    main(*sys.argv[1:])
