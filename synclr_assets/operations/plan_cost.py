"""What making some buckets of a slice again is expected to take, from the same figures as `synclr quote`."""

from __future__ import annotations

from collections.abc import Sequence

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.amounts import total
from synclr_assets.cost.assumptions import assumed_figures
from synclr_assets.cost.measured import measured_figures
from synclr_assets.cost.quote import quote
from synclr_assets.cost.rates import Rates, generator_figures, given_figures
from synclr_assets.cost.workload import workload
from synclr_assets.operations.plan_file import PlannedCost
from synclr_assets.store.store import Store
from synclr_train.recipes import Recipe


def planned_cost(
    store: Store,
    bank: ConceptBank,
    buckets: Sequence[str],
    rates: Rates,
    recipe: Recipe,
    *,
    trains: bool,
    rates_name: str = "rates",
) -> PlannedCost:
    """The sum over the buckets, with training and evaluation of the slice where `trains`."""
    work = [one for bucket in buckets for one in workload(bank, bucket)]
    generators = rates.generators
    given = generator_figures(generators) | given_figures(rates, rates_name)
    figures = assumed_figures(generators.captioner.prompts(), recipe, generators.images, given)
    figures |= measured_figures(store, recipe, given)
    quoted = quote(work, figures | given)
    whole = total(line for line in quoted.lines if trains or line.bucket is not None)
    return PlannedCost(
        num_captions=quoted.num_captions,
        requests=whole.requests,
        tokens=whole.prompt_tokens + whole.completion_tokens,
        gpu_hours=whole.gpu_hours,
        cpu_hours=whole.cpu_hours,
        size_bytes=whole.size_bytes,
        usd=whole.usd,
        days=whole.days,
        lower_bounds=whole.lower_bounds,
    )
