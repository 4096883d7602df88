"""The paper's concepts cut into buckets of one source each, with the caption budget of each bucket.

Decides, writes nothing.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from synclr_assets.concept_bank.allocation import allocate
from synclr_assets.concept_bank.bucket import Bucket, Concept
from synclr_assets.concept_bank.bucket_file import MAX_NUM_CAPTIONS
from synclr_assets.concept_bank.init.plan import PlannedBank
from synclr_assets.concept_bank.sources.paper import PAPER_SOURCES, PLACES, Source, source_shares

PAPER_NUM_CAPTIONS = 150_000_000
"""Captions of SynCaps-150M (SynCLR 3.4)."""
PLACES_SLICE = "places"
"""The two lists of places, which Table 11 counts as one."""


class PaperBankError(ValueError):
    """A number of buckets or captions that the paper's bank cannot have; one sentence."""


def paper_bank(num_buckets: int, num_captions: int = PAPER_NUM_CAPTIONS) -> PlannedBank:
    """The paper's bank in exactly `num_buckets` buckets with `num_captions` captions in all.

    A source in several buckets gives its name to a slice of them. Raises PaperBankError, and
    MissingMetadataError without timm's metadata.
    """
    concepts = {source.name: source.concepts() for source in PAPER_SOURCES}
    sizes = {name: len(of_source) for name, of_source in concepts.items()}
    shares = source_shares(sizes)
    counts = buckets_per_source(num_buckets, shares, sizes)
    budgets = allocate(num_captions, [shares[source.name] for source in PAPER_SOURCES])
    buckets: list[Bucket] = []
    slices: dict[str, tuple[str, ...]] = {}
    for source, budget in zip(PAPER_SOURCES, budgets, strict=True):
        parts = contiguous_parts(concepts[source.name], counts[source.name])
        _check_budget(source, budget, parts, shares[source.name], num_captions)
        of_source = _buckets_of(source, parts, budget)
        buckets += of_source
        if len(of_source) > 1:
            slices[source.name] = tuple(bucket.name for bucket in of_source)
    slices[PLACES_SLICE] = tuple(bucket.name for bucket in buckets if bucket.source in PLACES)
    return PlannedBank(tuple(buckets), slices)


def buckets_per_source(
    num_buckets: int, shares: Mapping[str, float], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Source -> its number of buckets: one each, and every further one where buckets are largest.

    A bucket's size is its share of the captions; no source gets more buckets than it has concepts. The counts
    sum to `num_buckets`. Raises PaperBankError when that is impossible.
    """
    total = sum(sizes.values())
    if num_buckets < len(sizes):
        raise PaperBankError(
            f"--buckets {num_buckets}: a bucket holds one source, and the paper has {len(sizes)}; "
            f"give at least {len(sizes)}."
        )
    if num_buckets > total:
        raise PaperBankError(
            f"--buckets {num_buckets}: the paper's sources hold {total} concepts; give at most {total}."
        )
    counts = dict.fromkeys(sizes, 1)
    largest = [(-shares[name], index, name) for index, name in enumerate(sizes) if sizes[name] > 1]
    heapq.heapify(largest)
    for _ in range(num_buckets - len(sizes)):
        _, index, name = heapq.heappop(largest)
        counts[name] += 1
        if counts[name] < sizes[name]:
            heapq.heappush(largest, (-shares[name] / counts[name], index, name))
    return counts


def contiguous_parts(concepts: Sequence[Concept], num_parts: int) -> list[tuple[Concept, ...]]:
    """`concepts` in `num_parts` runs whose lengths differ by at most one, the longer ones first.

    ImageNet's classes come in WordNet's order, so a run of them is a neighbourhood.
    """
    quotient, remainder = divmod(len(concepts), num_parts)
    parts = []
    start = 0
    for index in range(num_parts):
        end = start + quotient + (index < remainder)
        parts.append(tuple(concepts[start:end]))
        start = end
    return parts


def _buckets_of(source: Source, parts: Sequence[tuple[Concept, ...]], budget: int) -> list[Bucket]:
    budgets = allocate(budget, [len(part) for part in parts])
    width = len(str(len(parts)))
    buckets = []
    for number, (part, num_captions) in enumerate(zip(parts, budgets, strict=True), start=1):
        of_many = f", part {number} of {len(parts)}" if len(parts) > 1 else ""
        name = f"{source.name}-{number:0{width}}" if of_many else source.name
        description = f"{source.title}{of_many}: {part[0].text} to {part[-1].text} (SynCLR App. A)"
        buckets.append(
            Bucket(name, description, source.name, num_captions, source.template_shares, part, Path())
        )
    return buckets


def _check_budget(
    source: Source, budget: int, parts: Sequence[tuple[Concept, ...]], share: float, num_captions: int
) -> None:
    """Refuse budgets with which a bucket of the source would get no caption, or too many for one file."""
    total = sum(len(part) for part in parts)
    if budget * len(parts[-1]) < total:
        enough_for_source = math.ceil(Fraction(total, len(parts[-1])))
        enough = math.ceil(enough_for_source / Fraction(share))
        raise PaperBankError(
            f"--captions {num_captions}: a bucket of {source.name} would get none; give {enough} or more, or "
            "fewer --buckets."
        )
    if math.ceil(Fraction(budget * len(parts[0]), total)) > MAX_NUM_CAPTIONS:
        raise PaperBankError(
            f"--captions {num_captions}: a bucket of {source.name} would get more than {MAX_NUM_CAPTIONS}; "
            "give fewer, or more --buckets."
        )
