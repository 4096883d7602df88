"""Asking an OpenAI-compatible server: many requests at once, each delivery kept before anything else happens.

The key is read from the environment when the first request is sent, and taken out of everything that comes back.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from synclr_assets.synthesis.openai_answers import (
    Answer,
    ApiError,
    ApiKeyError,
    TryAgain,
    answer_of,
    redacted,
)
from synclr_assets.synthesis.openai_rate import AdaptiveGate, Stopped, backoff_seconds
from synclr_assets.synthesis.openai_settings import OpenAIServerSettings
from synclr_assets.synthesis.purchases import Delivery, DeliveryMemory, TransientMemory

if TYPE_CHECKING:
    from openai import OpenAI

REQUEST_KEY_HEADER = "X-Client-Request-Id"
"""Header that carries the request key, so that a provider's support can find a request."""


@dataclass(frozen=True)
class ApiRequest:
    """One request as it goes over the wire."""

    key: str
    """32 hex characters over everything that decides it, see `request_key`."""
    endpoint: Literal["completions", "chat"]
    """Which endpoint answers it."""
    body: dict[str, Any]
    """JSON body."""


class OpenAIClient:
    """Buys completions, each once: what its memory holds is not asked for again."""

    def __init__(self, settings: OpenAIServerSettings, memory: DeliveryMemory | None = None) -> None:
        self._settings = settings
        self._memory: DeliveryMemory = TransientMemory() if memory is None else memory

    def remembering(self, memory: DeliveryMemory) -> OpenAIClient:
        """The same client with another memory."""
        return OpenAIClient(self._settings, memory)

    def ask(self, requests: Sequence[ApiRequest]) -> list[Delivery]:
        """The delivery of each request, in order, live or by batch jobs.

        Raises ApiError in one sentence; what was delivered until then is in the memory.
        """
        missing = {one.key: one for one in requests if self._memory.recall(one.key) is None}
        if missing and self._settings.use_batch_api:
            from synclr_assets.synthesis.openai_batch import BatchJobs

            with Connection(self._settings) as connection:
                BatchJobs(self._settings, connection, self._memory).deliver(list(missing.values()))
        elif missing:
            with Connection(self._settings) as connection:
                self._deliver_live(connection, list(missing.values()))
        deliveries = [self._memory.recall(one.key) for one in requests]
        assert all(deliveries), "a request was neither delivered nor refused"
        return [one for one in deliveries if one is not None]

    def _deliver_live(self, connection: Connection, requests: Sequence[ApiRequest]) -> None:
        gate = AdaptiveGate(self._settings.max_concurrency)
        threads = ThreadPoolExecutor(min(self._settings.max_concurrency, len(requests)), "openai")
        try:
            running = [threads.submit(self._deliver_one, connection, gate, request) for request in requests]
            failures = [error for future in running if (error := future.result()) is not None]
        finally:
            gate.stop()
            threads.shutdown(wait=True, cancel_futures=True)
        if failures:
            raise failures[0]

    def _deliver_one(self, connection: Connection, gate: AdaptiveGate, request: ApiRequest) -> ApiError | None:
        """Try one request until it is delivered and kept; the error no retry mends, which stops the others."""
        answer: Answer | None = None
        try:
            for failures in range(1, self._settings.max_tries + 1):
                with gate.request() as entered:
                    answer = connection.send(request)
                    if isinstance(answer, Delivery):
                        self._memory.keep(request.key, answer)
                        gate.succeeded()
                        return None
                if isinstance(answer, ApiError):
                    break
                gate.pushed_back(entered, answer.retry_after_seconds)
                if failures < self._settings.max_tries:
                    own = backoff_seconds(failures, self._settings.max_backoff_seconds)
                    gate.wait(max(own, answer.retry_after_seconds or 0.0))
        except Stopped:
            return None
        except BaseException:
            gate.stop()
            raise
        gate.stop()
        return answer if isinstance(answer, ApiError) else gave_up(self._settings, answer)


def gave_up(settings: OpenAIServerSettings, last: TryAgain | None) -> ApiError:
    """The error of a request whose tries are used up."""
    return ApiError(
        f"{settings.base_url} did not deliver a request in {settings.max_tries} tries (it last "
        f"{last.reason.rstrip('.') if last else 'said nothing'}): run it again later, what was delivered is kept."
    )


class Connection:
    """The `openai` client of one server, which never raises and never shows the key."""

    def __init__(self, settings: OpenAIServerSettings) -> None:
        self._settings = settings
        self._key = _read_key(settings)
        self.client = _client(settings, self._key)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def send(self, request: ApiRequest) -> Answer:
        """One try. A body that breaks off, a silence, an unreachable server: all may be tried again."""
        return self.judged(lambda: self._post(request))

    def judged(self, call: Any, *, batched: bool = False) -> Answer:
        """What a call's raw response means."""
        raw = self.called(call)
        if isinstance(raw, TryAgain):
            return raw
        status, headers, text = raw
        return answer_of(self._settings, status, headers, text, batched=batched)
