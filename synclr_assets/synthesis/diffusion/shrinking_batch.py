"""Running work in batches that halve when the device's memory runs out, and stay small afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class OutOfMemoryError(RuntimeError):
    """Not even one item fits into the device's memory."""


class ShrinkingBatch:
    """`size` items at a time; smaller once that did not fit."""

    def __init__(self, size: int) -> None:
        self.size = size

    def run(self, items: Sequence[Item], work: Callable[[Sequence[Item]], list[Result]]) -> list[Result]:
        """`work` over all items in order, one result each. Raises OutOfMemoryError where one item does not fit."""
        import torch

        results: list[Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.size]
            try:
                made = work(batch)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise OutOfMemoryError(
                        f"one image does not fit into the device's memory ({str(error).splitlines()[0]}); choose a "
                        "smaller size_px, dtype float16 or a larger device."
                    ) from error
                self.size = len(batch) // 2
            else:
                assert len(made) == len(batch)
                results += made
                continue
            if torch.cuda.is_available():  # outside the handler, whose traceback keeps the batch's tensors alive
                torch.cuda.empty_cache()
        return results
