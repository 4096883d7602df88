"""How much there is to do: captions by template and backgrounds per bucket, counted from concept files.

Nothing loops over captions, so a bank of 150 million costs no more to count than one of a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from synclr_assets.concept_bank.allocation import allocate
from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.concept_bank.bucket import Bucket, template_shares_of
from synclr_assets.store.errors import StoreError
from synclr_assets.synthesis.identity import TEMPLATES
from synclr_assets.synthesis.openai_settings import SHARED_LISTS


@dataclass(frozen=True)
class BucketWork:
    """One generation of one bucket, as amounts."""

    bucket: str
    num_captions: int
    captions_by_template: Mapping[str, float]
    """Expected captions of each template; templates are drawn, so these are means."""
    num_background_lists: int
    """Lists of backgrounds to be written: one per concept that uses them, or one for its whole source."""


def buckets_of(bank: ConceptBank, slice_name: str) -> tuple[str, ...]:
    """The buckets of a slice. Raises StoreError for an unknown or an empty one."""
    problems = " ".join(problem.sentence for problem in bank.problems)
    if slice_name not in bank.slices:
        known = ", ".join(bank.slices)
        raise StoreError(
            f"{slice_name!r} is no slice of {bank.folder}: choose one of {known}. {problems}".strip()
        )
    if not bank.slices[slice_name]:
        raise StoreError(f"{bank.folder} has no usable bucket: add a bucket file. {problems}".strip())
    return bank.slices[slice_name]


def shared_bucket(source: str) -> str:
    """The bucket of `backgrounds` and `ledger` where the list that a fine-grained source shares is kept."""
    return f"source:{source}"


def paid_buckets(bank: ConceptBank, slice_name: str) -> tuple[str, ...]:
    """The buckets of the ledger that a slice's work stands under: its own, and those its sources share."""
    buckets = buckets_of(bank, slice_name)
    return (*buckets, *sorted({shared_bucket(bank.buckets[name].source) for name in buckets}))


def workload(bank: ConceptBank, slice_name: str, num_captions: int | None = None) -> tuple[BucketWork, ...]:
    """The work of every bucket of the slice; `num_captions` in all replaces the files' budgets in proportion.

    Raises StoreError as `buckets_of` does, and where the total leaves a bucket without a caption.
    """
    buckets = [bank.buckets[name] for name in buckets_of(bank, slice_name)]
    budgets = [bucket.num_captions for bucket in buckets]
    if num_captions is not None:
        budgets = allocate(num_captions, budgets)
        if 0 in budgets:
            empty = buckets[budgets.index(0)].name
            raise StoreError(
                f"{num_captions} captions leave bucket {empty} with none: ask for more captions."
            )
    return tuple(_work(bucket, budget) for bucket, budget in zip(buckets, budgets, strict=True))


def _work(bucket: Bucket, num_captions: int) -> BucketWork:
    total_weight = math.fsum(concept.weight for concept in bucket.concepts)
    share_of = dict.fromkeys(TEMPLATES, 0.0)
    num_with_background = 0
    for concept in bucket.concepts:
        shares = template_shares_of(bucket, concept)
        num_with_background += "c_bg" in shares
        for template, share in shares.items():
            share_of[template] += share * concept.weight / total_weight
    num_lists = min(num_with_background, num_captions)
    if bucket.source in SHARED_LISTS:  # one list serves a fine-grained source (SynCLR 3.1)
        num_lists = min(num_lists, 1)
    expected = {template: share * num_captions for template, share in share_of.items()}
    return BucketWork(bucket.name, num_captions, expected, num_lists)
