"""What is to be written: buckets and slices that no folder holds yet."""

from collections.abc import Mapping
from dataclasses import dataclass

from synclr_assets.concept_bank.bucket import Bucket


@dataclass(frozen=True)
class PlannedBank:
    """Bucket files and slices to be written."""

    buckets: tuple[Bucket, ...]
    """In the order of their names within a source; their `path` means nothing yet."""
    slices: Mapping[str, tuple[str, ...]]
    """Slice -> its buckets; a source in one bucket is that bucket and needs no slice."""
