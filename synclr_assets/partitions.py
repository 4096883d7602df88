"""Buckets, slices, and the mapping between them. Reads nothing: the concept bank is given."""

from dataclasses import dataclass

import dagster as dg

from synclr_assets.concept_bank.bank import ConceptBank


@dataclass(frozen=True)
class BankPartitions:
    """The partitions of one concept bank: corpus and dataset by bucket, models by slice."""

    bank: ConceptBank
    buckets: dg.StaticPartitionsDefinition
    slices: dg.StaticPartitionsDefinition
    bucket_to_slices: dg.StaticPartitionMapping


def partitions_of(bank: ConceptBank) -> BankPartitions:
    """Every good bucket and every slice as Dagster's own static partitions, which backfills understand."""
    slices_of: dict[str, set[str]] = {bucket: set() for bucket in bank.buckets}
    for name, members in bank.slices.items():
        for bucket in members:
            slices_of[bucket].add(name)
    return BankPartitions(
        bank=bank,
        buckets=dg.StaticPartitionsDefinition(list(bank.buckets)),
        slices=dg.StaticPartitionsDefinition(list(bank.slices)),
        bucket_to_slices=dg.StaticPartitionMapping(slices_of),
    )
