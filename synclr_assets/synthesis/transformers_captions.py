"""The `transformers` captioner: a causal language model completes the few-shot prompts of SynCLR 3.1.

A caption is the completion up to its first newline. Its noise is keyed by (caption_id, attempt) alone, so batch size
and order change a text only where rounding at another matrix shape tips a near-tie between two tokens: with float32 on
a CPU not once in 35 000 tokens (batches 1, 16 and 64), with bfloat16 once in 3 500. Imports torch with the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from synclr_assets.synthesis.decoding.nucleus_sampling import noise_key
from synclr_assets.synthesis.model_source import ModelError
from synclr_assets.synthesis.protocols import (
    CaptionRequest,
    Completion,
    ModelProvenance,
    settings_fingerprint,
)
from synclr_assets.synthesis.transformers_settings import TransformersCaptionerSettings, caption_model_source

if TYPE_CHECKING:
    from synclr_assets.synthesis.decoding.decoder import Prompt
    from synclr_assets.synthesis.decoding.loading import LanguageModel

SAMPLER_VERSION = 1
"""Raised whenever the same model and settings would draw other tokens."""


class TransformersCaptioner:
    """The `Captioner` of a hub id or folder. Loads the weights at the first request."""

    def __init__(self, settings: TransformersCaptionerSettings, prompt_set_fingerprint: str) -> None:
        """Pins the model, which reads every byte of a folder. Raises ModelError."""
        self._settings = settings
        self._num_slots = settings.batch_size
        self._source = caption_model_source(settings)
        self.provenance = ModelProvenance(
            model=self._source.name,
            revision=self._source.revision,
            licence=self._source.licence,
            fingerprint=settings_fingerprint(
                self._source.name,
                self._source.revision,
                prompt_set=prompt_set_fingerprint,
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_new_tokens=settings.max_new_tokens,
                dtype=settings.dtype,
                sampler=SAMPLER_VERSION,
            ),
        )

    @cached_property
    def _language_model(self) -> LanguageModel:
        from synclr_assets.synthesis.decoding.loading import load_language_model

        return load_language_model(self._settings, self._source)

    @property
    def batch_size(self) -> int:
        """Sequences decoded at once now: the setting, halved each time memory ended."""
        return self._num_slots

    def complete(self, requests: Sequence[CaptionRequest]) -> list[Completion]:
        """One completion per request, in order. Raises ModelError where one sequence is too much."""
        if not requests:
            return []
        prompts = self._prompts(requests)
        drawn: dict[int, list[int]] = {}
        while waiting := [index for index in range(len(prompts)) if index not in drawn]:
            if not self._decode([prompts[index] for index in waiting], waiting, drawn):
                self._halve_batch()
        return [
            Completion(self._caption(drawn[index]), len(prompt.token_ids), len(drawn[index]))
            for index, prompt in enumerate(prompts)
        ]

    def _decode(self, prompts: Sequence[Prompt], indices: Sequence[int], drawn: dict[int, list[int]]) -> bool:
        """Decode into `drawn`; False where memory ended first. What had finished by then is kept."""
        from synclr_assets.synthesis.decoding.decoder import Decoder, Sampling

        language_model = self._language_model
        settings = self._settings
        sampling = Sampling(
            settings.temperature, settings.top_p, settings.max_new_tokens, language_model.is_stop
        )
        try:
            for place, token_ids in Decoder(language_model.model, sampling, self._num_slots).decode(prompts):
                drawn[indices[place]] = token_ids
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            return False
        return True

    def _halve_batch(self) -> None:
        import torch

        if self._num_slots == 1:
            raise ModelError(
                f"captioner model {self._settings.model}: one sequence is more than the memory of device "
                f"{self._settings.device!r} holds; use a larger device or a smaller model."
            )
        self._num_slots = max(1, self._num_slots // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _prompts(self, requests: Sequence[CaptionRequest]) -> list[Prompt]:
        from synclr_assets.synthesis.decoding.decoder import Prompt

        encoded = self._language_model.tokenizer([request.prompt for request in requests])["input_ids"]
        limit = self._language_model.context_tokens
        longest = max((len(token_ids) for token_ids in encoded), default=0)
        if limit is not None and longest + self._settings.max_new_tokens > limit:
            raise ModelError(
                f"captioner model {self._settings.model}: a prompt of {longest} tokens and max_new_tokens "
                f"{self._settings.max_new_tokens} exceed its {limit} positions; shorten the prompt set's examples."
            )
        headers = {request.prompt.partition("\n")[0] for request in requests}
        header_ids = {
            header: self._language_model.tokenizer(header + "\n")["input_ids"] for header in headers
        }
        return [
            Prompt(
                token_ids,
                noise_key(request.caption_id, request.attempt),
                _num_common(token_ids[:-1], header_ids[request.prompt.partition("\n")[0]]),
            )
            for token_ids, request in zip(encoded, requests, strict=True)
        ]

    def _caption(self, token_ids: Sequence[int]) -> str:
        text = self._language_model.tokenizer.decode(token_ids, skip_special_tokens=True)
        return text.partition("\n")[0].strip()


def _num_common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many items two lists begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))


def _is_out_of_memory(error: RuntimeError) -> bool:
    """A GPU's own exception, or the CPU allocator's, which has none of its own."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
