"""The plan of a bucket generation: which caption stands at which position. A pure function of its concepts.

Positions are a fixed random order over all (concept, ordinal) slots. So every contiguous range of positions is a
fair sample of the bucket: work stopped early covers all concepts, and shards packed in order are already shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synclr_assets.store.errors import NotReadyError
from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.identity import caption_id, draw, draw_unit, template_of


@dataclass(frozen=True)
class PlannedConcept:
    """A row of concepts, as far as the plan needs it."""

    name: str
    display_text: str
    source: str
    shares: dict[str, float]
    num_captions: int


@dataclass(frozen=True)
class PlannedCaption:
    """One slot of the plan; its text depends on nothing else but the generator."""

    position: int
    caption_id: str
    concept: PlannedConcept
    ordinal: int
    template: str
    relation: str | None


@dataclass(frozen=True)
class CaptionPlan:
    """All slots of one bucket generation: 12 bytes each."""

    unit: Unit
    concepts: tuple[PlannedConcept, ...]
    relations: tuple[str, ...]
    concept_of: NDArray[np.int32]
    ordinal_of: NDArray[np.int64]

    @property
    def num_captions(self) -> int:
        return len(self.concept_of)

    def captions(self, start: int, end: int) -> Iterator[PlannedCaption]:
        """The slots at positions [start, end)."""
        for position in range(start, min(end, self.num_captions)):
            concept = self.concepts[self.concept_of[position]]
            ordinal = int(self.ordinal_of[position])
            slot = (self.unit.bucket, self.unit.generation, concept.name)
            template = template_of(*slot, ordinal, concept.shares)
            identity = caption_id(*slot, template, ordinal)
            relation = draw("relation", identity, choices=self.relations) if template == "c_rel" else None
            yield PlannedCaption(position, identity, concept, ordinal, template, relation)


def read_plan(tables: Tables, unit: Unit, relations: Sequence[str]) -> CaptionPlan:
    """The plan of a generation. Raises NotReadyError where its concepts were never written."""
    rows = tables.read("concepts", partitions=unit.partitions).sort_by("concept_index").to_pylist()
    if not rows:
        raise NotReadyError(f"concepts of {unit} do not exist: materialise concepts of {unit.bucket} first.")
    concepts = tuple(
        PlannedConcept(
            name=row["concept"],
            display_text=row["display_text"],
            source=row["source"],
            shares=dict(zip(row["templates"], row["template_shares"], strict=True)),
            num_captions=row["num_captions"],
        )
        for row in rows
    )
    counts = [concept.num_captions for concept in concepts]
    concept_of = np.repeat(np.arange(len(concepts), dtype=np.int32), counts)
    ordinal_of = np.concatenate([np.arange(count, dtype=np.int64) for count in counts])
    ranks = np.fromiter(
        (
            draw_unit("order", unit.bucket, unit.generation, concept.name, ordinal)
            for concept in concepts
            for ordinal in range(concept.num_captions)
        ),
        dtype=np.float64,
        count=len(concept_of),
    )
    order = np.argsort(ranks, kind="stable")
    return CaptionPlan(unit, concepts, tuple(relations), concept_of[order], ordinal_of[order])
