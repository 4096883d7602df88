"""A training process that writes down what it reads: `python recording_run.py FOLDER PART LAST SHARD...`.

Every process appends `step caption_id` to FOLDER/PART-RANK, and kills itself when it has done LAST steps.
"""

import os
import signal
import sys
from pathlib import Path

from torch import Tensor

from synclr_train.batches import StepBatch
from synclr_train.config import Recipe
from synclr_train.method import SynCLR
from synclr_train.shards import index_shards
from synclr_train.training import fit


def main(folder: str, part: str, last: str, *shards: str) -> None:
    """Train the recipe in FOLDER, in every process of it."""
    recipe = Recipe.model_validate_json((Path(folder) / "recipe.json").read_text())
    index = index_shards([Path(shard) for shard in shards], recipe.batch.views_per_caption)
    honest = SynCLR.training_step

    def recorded(module: SynCLR, batch: StepBatch, batch_idx: int) -> Tensor:
        if batch.step == int(last):
            os.kill(os.getpid(), signal.SIGKILL)
        with (Path(folder) / f"{part}-{module.global_rank}").open("a") as file:
            for row in batch.caption_rows.tolist():
                file.write(f"{batch.step} {index.caption_ids[row].decode()}\n")
        return honest(module, batch, batch_idx)

    SynCLR.training_step = recorded  # type: ignore[method-assign, assignment]
    fit(recipe, [Path(shard) for shard in shards], Path(folder) / "run")


if __name__ == "__main__":
    main(*sys.argv[1:])
