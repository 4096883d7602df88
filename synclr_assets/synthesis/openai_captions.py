"""The captioner behind an OpenAI-compatible server: vLLM, `transformers serve`, hosted APIs (SynCLR 3.1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from synclr_assets.synthesis.identity import draw_unit
from synclr_assets.synthesis.openai_client import ApiRequest, OpenAIClient
from synclr_assets.synthesis.openai_settings import OpenAICaptionerSettings
from synclr_assets.synthesis.prompts import PromptSet
from synclr_assets.synthesis.protocols import (
    CaptionRequest,
    Completion,
    ModelProvenance,
    settings_fingerprint,
)
from synclr_assets.synthesis.purchases import DeliveryMemory, request_key

INSTRUCTION = (
    "You continue a list of examples. Answer with the caption for the last line only: "
    "one sentence in English, on one line, with nothing before or after it."
)
"""What turns an instruct model into a completer; its words are part of the fingerprint."""


class OpenAICaptioner:
    """The `Captioner` of a server; see `make_openai_captioner`."""

    def __init__(
        self, settings: OpenAICaptionerSettings, provenance: ModelProvenance, client: OpenAIClient
    ) -> None:
        self.provenance = provenance
        self._settings = settings
        self._client = client

    def remembering(self, memory: DeliveryMemory) -> OpenAICaptioner:
        """The same captioner, which buys nothing that `memory` holds."""
        return OpenAICaptioner(self._settings, self.provenance, self._client.remembering(memory))

    def complete(self, requests: Sequence[CaptionRequest]) -> list[Completion]:
        """One completion per request, in order. Raises ApiError where the server cannot be made to answer."""
        deliveries = self._client.ask([self._api_request(request) for request in requests])
        return [
            Completion(first_line(one.text), one.prompt_tokens, one.completion_tokens) for one in deliveries
        ]

    def _api_request(self, request: CaptionRequest) -> ApiRequest:
        settings = self._settings
        body: dict[str, Any] = {
            "model": settings.model,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
        }
        if settings.send_seed:
            body["seed"] = request_seed(request)
        if settings.endpoint == "completions":
            body |= {"prompt": request.prompt, "stop": "\n"}
        else:
            system = {"role": "system", "content": INSTRUCTION}
            body["messages"] = [system, {"role": "user", "content": request.prompt}]
        decided_by = json.dumps(body, sort_keys=True)
        key = request_key(self.provenance.fingerprint, request.caption_id, request.attempt, decided_by)
        return ApiRequest(key, settings.endpoint, body)


def make_openai_captioner(settings: OpenAICaptionerSettings, prompts: PromptSet) -> OpenAICaptioner:
    """The captioner these settings name; it connects, and reads the key, when it is first asked."""
    fingerprint = settings_fingerprint(
        settings.model,
        settings.revision,
        kind="openai_compatible",
        prompts=prompts.fingerprint,
        endpoint=settings.endpoint,
        instruction=INSTRUCTION if settings.endpoint == "chat" else "",
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        seeded=int(settings.send_seed),
    )
    provenance = ModelProvenance(settings.model, settings.revision, settings.licence, fingerprint)
    return OpenAICaptioner(settings, provenance, OpenAIClient(settings))


def request_seed(request: CaptionRequest) -> int:
    """Sampling seed of one attempt at one caption, in [0, 2**31): what every server takes."""
    return int(draw_unit("completion", request.caption_id, request.attempt) * 2**31)


def first_line(text: str) -> str:
    """The first line that says anything, without surrounding blanks."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
