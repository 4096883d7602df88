"""What all bucket-partitioned assets share: which generation they work on, and what Dagster calls its version."""

import dagster as dg
from pydantic import Field

from synclr_assets.operations.plan_file import planned_generations
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.identity import digest_hex

PLAN_TAG = "synclr/plan"
"""Run tag: id of the applied plan that says which generation each bucket gets."""


class GenerationConfig(dg.Config):
    """Which generation of the bucket to work on."""

    generation: int | None = Field(
        default=None,
        ge=0,
        description="A number to work on that generation; left out, the latest. For `concepts`, the next number "
        "opens a new generation.",
    )

    def chosen(self, context: dg.AssetExecutionContext, store: Store, bucket: str) -> int | None:
        """The generation asked for: by this config, else by the plan that the run belongs to, else none."""
        if self.generation is not None or not context.has_tag(PLAN_TAG):
            return self.generation
        return planned_generations(store, str(context.get_tag(PLAN_TAG)))[bucket]


def data_version(stage: str, unit: Unit, *facts: str | int) -> dg.DataVersion:
    """The same for the same content: a re-run that wrote nothing new leaves everything downstream fresh."""
    return dg.DataVersion(
        f"g{unit.generation}-{digest_hex(stage, unit.bucket, unit.generation, *facts)[:12]}"
    )
