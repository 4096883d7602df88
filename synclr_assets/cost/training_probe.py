"""How fast a recipe trains here: some steps in a child process, stopped after a number of seconds.

`python -m synclr_assets.cost.training_probe` is the child; only it loads torch.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from synclr_train.recipes import Recipe

START_SECONDS = 180.0
"""Longest wait for the first step, which includes importing torch and building the network."""
STEP_SECONDS = 10.0
"""Wait beyond the probe's seconds before a step counts as too slow to be measured."""
MAX_CAPTIONS_PER_STEP = 32
NEVER = 1_000_000_000


@dataclass(frozen=True)
class TrainingSpeed:
    """What a probe of training measured."""

    steps: int
    images_per_step: int
    images_per_second: float
    device: str


def probe_recipe(recipe: Recipe, num_captions: int) -> Recipe:
    """The recipe with a batch that the probe's captions fill, telling of every step."""
    captions = min(recipe.batch.captions, num_captions, MAX_CAPTIONS_PER_STEP)
    return recipe.varied(
        batch=recipe.batch.model_copy(update={"captions": captions}),
        num_workers=min(recipe.num_workers, os.cpu_count() or 1),
        devices=1,
        strategy="auto",
        compiles=False,
        log_every_steps=1,
        checkpoint_every_steps=NEVER,
    )


def training_speed(
    recipe: Recipe, shard: Path, out_dir: Path, num_captions: int, seconds: float
) -> TrainingSpeed | str:
    """Speed of one device over about `seconds`, or one sentence that says why it was not measured."""
    smaller = probe_recipe(recipe, num_captions)
    log = shard.with_name("training.log")
    command = [sys.executable, "-m", "synclr_assets.cost.training_probe", str(shard), str(out_dir)]
    with log.open("wb") as said:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        assert child.stdin is not None
        try:
            child.stdin.write(smaller.model_dump_json().encode())
            child.stdin.close()
            steps = _steps(child, seconds)
            ended = child.poll()
        finally:
            child.kill()
            child.wait()
    if len(steps) < 2:
        complaint = log.read_text(errors="replace").strip().splitlines()[-1:] if ended else []
        why = complaint[0] if complaint else "its steps take longer than the probe waits"
        mend = "give training.images_per_second in a rates file"
        return f"Training of {recipe.name} was not measured ({why}): {mend}."
    (first, _), (final, device) = steps[0], steps[-1]
    num_steps = len(steps) - 1
    per_step = smaller.batch.num_images
    return TrainingSpeed(num_steps, per_step, num_steps * per_step / max(final - first, 1e-6), device)


def _steps(child: subprocess.Popen[bytes], seconds: float) -> list[tuple[float, str]]:
    """(seconds, device) of each step that the child told of until time was up or it ended."""
    assert child.stdout is not None
    steps: list[tuple[float, str]] = []
    deadline = time.monotonic() + START_SECONDS
    unread = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            chunk = os.read(child.stdout.fileno(), 1 << 16)
            if not chunk:
                break
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                told = json.loads(line)
                if not steps:
                    deadline = time.monotonic() + seconds + STEP_SECONDS
                steps.append((told["at"], told["device"]))
            if len(steps) > 1 and steps[-1][0] - steps[0][0] >= seconds:
                break
    return steps


def main(shard: str, out_dir: str) -> None:
    """Train the recipe on standard input, telling of each step on standard output."""
    import torch

    from synclr_train.metrics import TrainingEvent
    from synclr_train.training import fit

    device = "cuda" if torch.cuda.is_available() else "cpu"

    def tell(event: TrainingEvent) -> None:
        if event.step:
            print(json.dumps({"at": time.monotonic(), "device": device}), flush=True)

    fit(Recipe.model_validate_json(sys.stdin.read()), [Path(shard)], Path(out_dir), on_event=tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
