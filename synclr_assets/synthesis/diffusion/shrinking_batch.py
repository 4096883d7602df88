"""Running work in batches that halve when the device's memory runs out, and stay small afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class OutOfMemoryError(RuntimeError):
    """Not even one item fits into the device's memory."""


class ShrinkingBatch:
    """`size` items at a time; fewer once that many did not fit."""

    def __init__(self, size: int, *, pad: bool = False) -> None:
        """`pad` fills a last, smaller batch up with its last item: compiled networks are made for one size."""
        self.size = size
        self._pad = pad

    def run(self, items: Sequence[Item], work: Callable[[Sequence[Item]], list[Result]]) -> list[Result]:
        """`work` over all items in order, one result each. Raises OutOfMemoryError where one item does not fit."""
        results: list[Result] = []
        while len(results) < len(items):
            batch = list(items[len(results) : len(results) + self.size])
            if self._pad:
                batch += [batch[-1]] * (self.size - len(batch))
            made = self._attempt(batch, work)
            if made is not None:
                results += made
        return results[: len(items)]

    def _attempt(
        self, batch: Sequence[Item], work: Callable[[Sequence[Item]], list[Result]]
    ) -> list[Result] | None:
        """The results, or None where memory ran out and the batch size was halved."""
        import torch

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
            return made
        if torch.cuda.is_available():  # outside the handler, whose traceback keeps the batch's tensors alive
            torch.cuda.empty_cache()
        return None
