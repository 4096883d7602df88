"""Decoding many prompts of a causal language model at once: each stops by itself, and its slot goes to the next.

Prompts are taken longest first, so the next one always fits to the left of the column that all slots write: a freed
slot is refilled in place, without moving its neighbours. Knows token ids, not text.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import DynamicCache

from synclr_assets.synthesis.decoding.key_value_slots import KeyValueSlots, states_of
from synclr_assets.synthesis.decoding.nucleus_sampling import draw_tokens

NUM_CANDIDATES = 256
"""Most likely tokens fetched from the device per row; a row whose nucleus is larger is fetched whole."""
SPARE_COLUMNS = 64
"""Columns beyond the longest sequence: the larger, the more rarely the buffer is moved left."""
REFILL_SHARE = 8
"""Slots are refilled once one in this many is free: on a GPU a prefill of few rows costs as much as a step."""
DROP_SHARE = 4
"""With nothing left to refill them, free slots are dropped once one in this many is free: it copies the others."""


@dataclass(frozen=True)
class Prompt:
    """Token ids to be continued."""

    token_ids: Sequence[int]
    noise_key: int
    """64-bit key of the noise to continue them with."""
    num_shared: int = 0
    """Tokens at the beginning, fewer than all, that other prompts begin with too: they are read once."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn, and where a continuation ends."""

    temperature: float
    top_p: float
    max_new_tokens: int
    is_stop: NDArray[np.bool_]
    """[vocabulary]: whether a continuation ends with this token."""


@dataclass
class _Row:
    """A sequence in a slot: its last drawn token is not in the buffer yet."""

    index: int
    noise_key: int
    first: int
    """Column of the buffer where the sequence begins."""
    drawn: list[int] = field(default_factory=list)


class Decoder:
    """Continues prompts with one model. The model's forward is all it needs: no `generate`."""

    def __init__(self, model: Any, sampling: Sampling, num_slots: int) -> None:
        self._model = model
        self._sampling = sampling
        self._num_slots = num_slots
        parameters = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in parameters
        # Its names in transformers of late and before; the older one ends with 5.40.
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"
        self._last_logits = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self._shared: dict[tuple[int, ...], DynamicCache] = {}
        self.num_steps = 0
        """Forwards of one token per slot so far."""

    @torch.inference_mode()
    def decode(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, list[int]]]:
        """(index of the prompt, drawn token ids with the stop token) of every prompt, as they finish."""
        waiting = deque(sorted(range(len(prompts)), key=lambda i: (-len(prompts[i].token_ids), i)))
        num_slots = min(self._num_slots, len(prompts))
        longest = len(prompts[waiting[0]].token_ids) if waiting else 0
        slots = KeyValueSlots(num_slots, longest + self._sampling.max_new_tokens + SPARE_COLUMNS)
        rows: list[_Row | None] = [None] * num_slots
        while waiting or any(rows):
            free = [slot for slot, row in enumerate(rows) if row is None]
            if waiting and len(free) * REFILL_SHARE >= min(num_slots, len(waiting) * REFILL_SHARE):
                taken = [waiting.popleft() for _ in free[: len(waiting)]]
                if len(free) == num_slots:
                    slots.first, slots.end = 0, len(prompts[taken[0]].token_ids)
                for slot, admitted in zip(free, self._admit(prompts, taken, slots, free), strict=False):
                    rows[slot] = admitted
            else:
                if not waiting and len(free) * DROP_SHARE >= slots.num_slots:
                    rows = [row for row in rows if row is not None]
                    slots.keep([slot for slot in range(slots.num_slots) if slot not in free])
                self._step(rows, slots)
            for slot, row in enumerate(rows):
                if row is not None and self._is_finished(row):
                    yield row.index, row.drawn
                    rows[slot] = None

    def _admit(
        self, prompts: Sequence[Prompt], taken: Sequence[int], slots: KeyValueSlots, free: Sequence[int]
    ) -> list[_Row]:
        """Prefill prompts into free slots and draw the first token of each."""
        rows = []
        groups: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for index, slot in zip(taken, free, strict=False):
            shared = tuple(prompts[index].token_ids[: prompts[index].num_shared])
            groups.setdefault(shared, []).append((index, slot))
            rows.append(_Row(index, prompts[index].noise_key, slots.end - len(prompts[index].token_ids)))
        row_of = {row.index: row for row in rows}
        for shared, members in groups.items():
            token_ids = [prompts[index].token_ids for index, _ in members]
            logits, filled = self._prefill(shared, [ids[len(shared) :] for ids in token_ids])
            slots.admit(filled, [slot for _, slot in members], [len(ids) for ids in token_ids], len(shared))
            self._draw(logits, [row_of[index] for index, _ in members])
        return rows

    def _prefill(
        self, shared: tuple[int, ...], rests: Sequence[Sequence[int]]
    ) -> tuple[torch.Tensor, DynamicCache]:
        """Logits [rows, vocabulary] after each prompt, and the keys and values of [shared, padding, rest]."""
        width = max(len(rest) for rest in rests)
        token_ids = np.zeros((len(rests), width), dtype=np.int64)
        mask = np.zeros((len(rests), len(shared) + width), dtype=np.int64)
        mask[:, : len(shared)] = 1
        for row, rest in enumerate(rests):
            token_ids[row, width - len(rest) :] = rest
            mask[row, len(shared) + width - len(rest) :] = 1
        positions = np.maximum(mask.cumsum(axis=1) - 1, 0)[:, len(shared) :]
        filled = self._shared_beginning(shared, len(rests))
        return self._forward(token_ids, mask, positions, filled), filled

    def _shared_beginning(self, shared: tuple[int, ...], num_rows: int) -> DynamicCache:
        """Keys and values of a shared beginning, read once, for each of `num_rows` rows."""
        if not shared:
            return DynamicCache()
        if shared not in self._shared:
            token_ids = np.array([shared])
            self._shared[shared] = DynamicCache()
            self._forward(
                token_ids, np.ones_like(token_ids), np.arange(len(shared))[None], self._shared[shared]
            )
        layers = states_of(self._shared[shared])
        return DynamicCache(
            [(k.expand(num_rows, -1, -1, -1), v.expand(num_rows, -1, -1, -1)) for k, v in layers]
        )

    def _step(self, rows: list[_Row | None], slots: KeyValueSlots) -> None:
        """Draw one token more for every row; free slots run along, seeing nothing but themselves."""
        slots.first = min(row.first for row in rows if row is not None)
        if slots.end == slots.capacity:
            moved = slots.move_left()
            for row in rows:
                if row is not None:
                    row.first -= moved
        firsts = np.array([slots.end if row is None else row.first for row in rows])
        tokens = np.array([[0 if row is None else row.drawn[-1]] for row in rows])
        mask = np.arange(slots.first, slots.end + 1)[None, :] >= firsts[:, None]
        logits = self._forward(tokens, mask.astype(np.int64), (slots.end - firsts)[:, None], slots.cache)
        slots.advance()
        self.num_steps += 1
        live = [slot for slot, row in enumerate(rows) if row is not None]
        self._draw(logits[live], [row for row in rows if row is not None])

    def _forward(
        self, tokens: NDArray[np.int64], mask: NDArray[np.int64], positions: NDArray[np.int64], cache: Any
    ) -> torch.Tensor:
        """Logits [rows, vocabulary] of the last column."""
        device = self._model.device
        more = {"position_ids": torch.from_numpy(positions).to(device)} if self._takes_positions else {}
        output = self._model(
            input_ids=torch.from_numpy(tokens).to(device),
            attention_mask=torch.from_numpy(mask).to(device),
            use_cache=True,
            **{self._cache_name: cache},
            **more,
            **self._last_logits,
        )
        return output.logits[:, -1]

    def _draw(self, logits: torch.Tensor, rows: Sequence[_Row]) -> None:
        """Append one token to every row, from its own noise."""
        log_probs = torch.log_softmax(logits.float() / self._sampling.temperature, dim=-1)
        values, ids = log_probs.topk(min(NUM_CANDIDATES, log_probs.shape[-1]), dim=-1)
        # One copy to the host per step: it decides which rows go on anyway.
        fetched = values.cpu().numpy().astype(np.float64)
        drawn = self._tokens(fetched, ids.cpu().numpy(), rows)
        too_wide = np.flatnonzero(np.exp(fetched).sum(axis=-1) < self._sampling.top_p)
        if too_wide.size and fetched.shape[-1] < log_probs.shape[-1]:
            whole = log_probs[too_wide.tolist()].cpu().numpy().astype(np.float64)
            every_id = np.broadcast_to(np.arange(whole.shape[-1]), whole.shape)
            drawn[too_wide] = self._tokens(whole, every_id, [rows[n] for n in too_wide.tolist()])
        for row, token in zip(rows, drawn.tolist(), strict=True):
            row.drawn.append(token)

    def _tokens(
        self, log_probs: NDArray[np.float64], ids: NDArray[np.int64], rows: Sequence[_Row]
    ) -> NDArray[np.int64]:
        keys = np.array([row.noise_key for row in rows], dtype=np.uint64)
        steps = np.array([len(row.drawn) for row in rows])
        return draw_tokens(log_probs, ids, keys, steps, self._sampling.top_p)

    def _is_finished(self, row: _Row) -> bool:
        limit = self._sampling.max_new_tokens
        return bool(self._sampling.is_stop[row.drawn[-1]]) or len(row.drawn) >= limit
