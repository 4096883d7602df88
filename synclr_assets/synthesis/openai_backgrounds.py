"""Backgrounds from a model behind an OpenAI-compatible server: lists per concept, and rewritten captions.

Answers are asked for as JSON, checked, and asked for again when wrong. SynCLR 3.1 used GPT-4; here any model serves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from synclr_assets.synthesis.background_answers import WrongAnswer, background_list, rewritten_caption
from synclr_assets.synthesis.identity import draw_unit
from synclr_assets.synthesis.openai_client import ApiRequest, OpenAIClient
from synclr_assets.synthesis.openai_settings import OpenAIBackgroundSettings
from synclr_assets.synthesis.protocols import (
    CaptionRequest,
    Completion,
    ModelProvenance,
    settings_fingerprint,
)
from synclr_assets.synthesis.purchases import DeliveryMemory, request_key

LIST_INSTRUCTION = (
    "You name places and settings for photographs. You answer in English with one JSON object "
    '{"backgrounds": ["...", "..."]} and nothing else.'
)
LIST_QUESTION = (
    "Name {count} different places or settings in which {subject} can plausibly be photographed. Each is a short "
    "noun phrase with its article, two to six words long, such as `a wooden table` or `the edge of a pine forest`. "
    "Do not name {subject} itself and do not repeat yourself."
)
REWRITE_INSTRUCTION = (
    "You extend captions of photographs. You answer in English with one JSON object "
    '{"background": "...", "caption": "..."} and nothing else.'
)
REWRITE_QUESTION = (
    "This caption describes a picture of {concept}: {caption}\nThink of a place or setting that suits it, as a short "
    "noun phrase with its article. Rewrite the caption as one sentence of at most 30 words that still names "
    "{concept} and now also names that place or setting."
)
LIVE_CONCEPTS_PER_COMMIT = 64


class OpenAIBackgroundLists:
    """The `BackgroundWriter` that asks for a list per concept, or per fine-grained source (SynCLR 3.1)."""

    origin: Literal["frozen", "generated"] = "generated"

    def __init__(self, settings: OpenAIBackgroundSettings, client: OpenAIClient | None = None) -> None:
        self._settings = settings
        self._client = client or OpenAIClient(settings)
        self.provenance = _provenance(settings, "list", LIST_INSTRUCTION, LIST_QUESTION)

    def remembering(self, memory: DeliveryMemory) -> OpenAIBackgroundLists:
        """The same writer, which buys nothing that `memory` holds."""
        return OpenAIBackgroundLists(self._settings, self._client.remembering(memory))

    @property
    def concepts_per_commit(self) -> int:
        """All that one job takes where jobs take hours, else few, so that lists are soon in their table."""
        return self._settings.requests_per_batch if self._settings.use_batch_api else LIVE_CONCEPTS_PER_COMMIT

    def shared_list(self, source: str) -> str | None:
        """What the one list of a fine-grained source is about; None where every concept has its own."""
        return self._settings.shared_lists.get(source)

    def write(self, concept: str, source: str, count: int) -> list[str]:
        """One concept's list, or its source's; empty where the concept was given up."""
        return self.write_lists([self.shared_list(source) or concept], count)[0]

    def write_lists(self, subjects: Sequence[str], count: int) -> list[list[str]]:
        """About `count` distinct backgrounds per subject, in order; none for a subject that was given up.

        Raises ApiError where the server cannot be made to answer.
        """
        found: dict[str, list[str]] = {}
        for attempt in range(self._settings.max_wrong_answers):
            waiting = list(dict.fromkeys(subject for subject in subjects if subject not in found))
            if not waiting:
                break
            deliveries = self._client.ask([self._request(subject, count, attempt) for subject in waiting])
            for subject, delivery in zip(waiting, deliveries, strict=True):
                try:
                    found[subject] = background_list(delivery, count)
                except WrongAnswer:
                    continue
        return [found.get(subject, []) for subject in subjects]

    def _request(self, subject: str, count: int, attempt: int) -> ApiRequest:
        question = LIST_QUESTION.format(count=count, subject=subject)
        schema = {"backgrounds": {"type": "array", "items": {"type": "string"}}}
        asked_for = (self.provenance.fingerprint, subject, count, attempt)
        return _chat(self._settings, asked_for, LIST_INSTRUCTION, question, schema)


class OpenAICaptionRewriter:
    """The `CaptionRewriter` of a server: adds a background to a finished caption."""

    origin = "generated"

    def __init__(self, settings: OpenAIBackgroundSettings, client: OpenAIClient | None = None) -> None:
        self._settings = settings
        self._client = client or OpenAIClient(settings)
        self.provenance = _provenance(settings, "rewrite", REWRITE_INSTRUCTION, REWRITE_QUESTION)

    def remembering(self, memory: DeliveryMemory) -> OpenAICaptionRewriter:
        """The same rewriter, which buys nothing that `memory` holds."""
        return OpenAICaptionRewriter(self._settings, self._client.remembering(memory))

    def complete(self, requests: Sequence[CaptionRequest]) -> list[Completion]:
        """One rewritten caption per request, in order; an empty text where the answer is unusable.

        A request's `prompt` is the caption as it stands. Raises ApiError.
        """
        deliveries = self._client.ask([self._request(request) for request in requests])
        completions = []
        for delivery in deliveries:
            try:
                text = rewritten_caption(delivery)[0]
            except WrongAnswer:
                text = ""
            completions.append(Completion(text, delivery.prompt_tokens, delivery.completion_tokens))
        return completions

    def background_of(self, request: CaptionRequest) -> str | None:
        """The background added for a request that was completed; None where the answer was unusable."""
        try:
            return rewritten_caption(self._client.ask([self._request(request)])[0])[1]
        except WrongAnswer:
            return None

    def _request(self, request: CaptionRequest) -> ApiRequest:
        question = REWRITE_QUESTION.format(concept=request.concept, caption=request.prompt)
        schema = {"background": {"type": "string"}, "caption": {"type": "string"}}
        asked_for = (self.provenance.fingerprint, request.caption_id, request.attempt)
        return _chat(self._settings, asked_for, REWRITE_INSTRUCTION, question, schema)


def _provenance(
    settings: OpenAIBackgroundSettings, mode: str, instruction: str, question: str
) -> ModelProvenance:
    fingerprint = settings_fingerprint(
        settings.model,
        settings.revision,
        kind=mode,
        instruction=instruction,
        question=question,
        structured_output=settings.structured_output,
        temperature="server" if settings.temperature is None else settings.temperature,
        max_tokens=settings.max_tokens,
        max_wrong_answers=settings.max_wrong_answers,
        shared_lists=json.dumps(settings.shared_lists, sort_keys=True),
        seeded=int(settings.send_seed),
    )
    return ModelProvenance(settings.model, settings.revision, settings.licence, fingerprint)


def _chat(
    settings: OpenAIBackgroundSettings,
    asked_for: tuple[str | int, ...],
    instruction: str,
    question: str,
    properties: Mapping[str, Any],
) -> ApiRequest:
    """A chat request whose answer is a JSON object of the given properties."""
    messages = [{"role": "system", "content": instruction}, {"role": "user", "content": question}]
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": messages,
        settings.max_tokens_field: settings.max_tokens,
    }
    if settings.temperature is not None:
        body["temperature"] = settings.temperature
    if settings.send_seed:
        body["seed"] = int(draw_unit("chat", *asked_for) * 2**31)
    if settings.structured_output == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif settings.structured_output == "json_schema":
        schema = {
            "type": "object",
            "properties": dict(properties),
            "required": list(properties),
            "additionalProperties": False,
        }
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        }
    return ApiRequest(request_key(*asked_for, json.dumps(body, sort_keys=True)), "chat", body)
