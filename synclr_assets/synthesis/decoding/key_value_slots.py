"""A key-value buffer whose sequences come and go, in the shape of a transformers cache. Knows nothing of tokens.

All sequences end at the same column and write the next one together; each begins at a column of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class KeyValueSlots:
    """Keys and values of `num_slots` sequences over `capacity` columns, of which [first, end) are in use.

    `cache` is what a forward of one token per slot takes; it writes column `end`. Then call `advance`.
    """

    def __init__(self, num_slots: int, capacity: int) -> None:
        self.num_slots = num_slots
        self.capacity = capacity
        self.first = 0
        self.end = 0
        self._layers: list[_SlotLayer] = []
        self.cache = Cache(layers=[])

    def admit(
        self, prefilled: Cache, slots: Sequence[int], lengths: Sequence[int], num_shared: int = 0
    ) -> None:
        """Put prefilled sequences into slots so that each ends at column `end`.

        prefilled: per layer, keys and values [len(slots), heads, columns, head size]; of the columns, the first
        `num_shared` are every sequence's beginning, the last ones its rest, and what lies between is padding.
        lengths: tokens of each sequence, shared ones included, at most `end`.
        """
        assert max(lengths) <= self.end <= self.capacity, (lengths, self.end, self.capacity)
        filled = states_of(prefilled)
        if not self._layers:
            self._layers = [_SlotLayer(self, keys, values) for keys, values in filled]
            self.cache.layers.extend(self._layers)
        for layer, states in zip(self._layers, filled, strict=True):
            for buffer, source in zip(layer.buffers, states, strict=True):
                for row, (slot, length) in enumerate(zip(slots, lengths, strict=True)):
                    first, own = self.end - length, length - num_shared
                    buffer[slot, :, first : first + num_shared] = source[row, :, :num_shared]
                    buffer[slot, :, self.end - own : self.end] = source[row, :, -own:]

    def advance(self) -> None:
        """Count the column that the last forward wrote."""
        self.end += 1

    def move_left(self) -> int:
        """Move the columns in use to the front to make room; by how many columns they moved."""
        moved, width = self.first, self.end - self.first
        for layer in self._layers:
            for buffer in layer.buffers:
                buffer[:, :, :width] = buffer[:, :, moved : self.end].clone()
        self.first, self.end = 0, width
        return moved

    def keep(self, slots: Sequence[int]) -> None:
        """Drop all slots but these, which are numbered anew from 0 in the given order."""
        self.num_slots = len(slots)
        for layer in self._layers:
            layer.buffers = [buffer[list(slots)] for buffer in layer.buffers]


def states_of(cache: Cache) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Keys and values, each [rows, heads, columns, head size], of every layer of a filled cache."""
    states = []
    for layer in cache.layers:
        assert isinstance(layer, CacheLayerMixin), type(layer)
        assert layer.keys is not None
        assert layer.values is not None
        states.append((layer.keys, layer.values))
    return states


class _SlotLayer(CacheLayerMixin):
    """One layer's buffer [slots, heads, capacity, head size]; writes in place, answers with the columns in use."""

    is_sliding = False

    def __init__(self, window: KeyValueSlots, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self._window = window
        self.buffers: list[torch.Tensor] = []
        self.lazy_initialization(keys, values)

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        for states in (key_states, value_states):
            shape = (self._window.num_slots, states.shape[1], self._window.capacity, states.shape[3])
            self.buffers.append(states.new_zeros(shape))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        first, end = self._window.first, self._window.end
        keys, values = self.buffers
        keys[:, :, end] = key_states[:, :, 0]
        values[:, :, end] = value_states[:, :, 0]
        return keys[:, :, first : end + 1], values[:, :, first : end + 1]

    def get_seq_length(self) -> int:
        return self._window.end - self._window.first

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return self._window.capacity
