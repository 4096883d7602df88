"""Values that change with the step: learning rate, weight decay, momentum, teacher temperature.

Pure functions of (recipe, step): nothing here remembers anything, which is what makes a run resumable.
"""

import math
from dataclasses import dataclass

from synclr_train.config import Recipe


def linear(step: int, start: float, end: float, num_steps: int) -> float:
    """From `start` at step 0 to `end` at `num_steps`, then constant."""
    return start + (end - start) * min(step / num_steps, 1.0)


def cosine(step: int, start: float, end: float, num_steps: int) -> float:
    """Half a cosine from `start` at step 0 to `end` at `num_steps`, then constant."""
    return end + (start - end) * (1 + math.cos(math.pi * min(step / num_steps, 1.0))) / 2


def warmup_cosine(step: int, peak: float, warmup_steps: int, num_steps: int) -> float:
    """Linear from 0 to `peak` over `warmup_steps`, then half a cosine to 0 at `num_steps`."""
    if step < warmup_steps:
        return linear(step, 0.0, peak, warmup_steps)
    return cosine(step - warmup_steps, peak, 0.0, num_steps - warmup_steps)


@dataclass(frozen=True)
class ScheduledValues:
    """What the schedules say at one step."""

    learning_rate: float
    weight_decay: float
    ema_momentum: float
    teacher_temperature: float | None
    """None when the recipe has no iBOT."""


def values_at(recipe: Recipe, step: int) -> ScheduledValues:
    """The schedules of `recipe` at `step`, counted from 0 (SynCLR table 12, 3.3)."""
    optimiser, ibot = recipe.optimiser, recipe.ibot
    return ScheduledValues(
        learning_rate=warmup_cosine(step, recipe.learning_rate, optimiser.warmup_steps, recipe.steps),
        weight_decay=cosine(step, optimiser.weight_decay_start, optimiser.weight_decay_end, recipe.steps),
        ema_momentum=cosine(step, optimiser.ema_momentum_start, optimiser.ema_momentum_end, recipe.steps),
        teacher_temperature=None
        if ibot is None
        else linear(
            step,
            ibot.teacher_temperature_start,
            ibot.teacher_temperature_end,
            ibot.teacher_temperature_steps,
        ),
    )
