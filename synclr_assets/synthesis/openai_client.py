"""Asking an OpenAI-compatible server: many requests at once, each delivery kept before anything else happens.

The key is read from the environment when the first request is sent, and taken out of everything that comes back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from synclr_assets.synthesis.openai_answers import (
    Answer,
    ApiError,
    ApiKeyError,
    TryAgain,
    answer_of,
    redacted,
    undelivered,
)
from synclr_assets.synthesis.openai_rate import INITIAL_CONCURRENCY, AdaptiveGate, Stopped, backoff_seconds
from synclr_assets.synthesis.openai_settings import OpenAIServerSettings
from synclr_assets.synthesis.purchases import Delivery, DeliveryMemory, TransientMemory

KEYLESS = "none"
"""Sent to servers that ask for no key; the `openai` client wants one."""
REQUEST_KEY_HEADER = "X-Client-Request-Id"
"""Header that carries the request key, so that a provider's support can find a request."""
IDEMPOTENCY_HEADER = "Idempotency-Key"
"""Header that carries it too: a server that honours it answers the same request again without working again."""


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

    def __init__(self, settings: OpenAIServerSettings) -> None:
        self._settings = settings
        self._memory: DeliveryMemory = TransientMemory()
        self._line = _Line(settings)

    def remembering(self, memory: DeliveryMemory) -> OpenAIClient:
        """The same client with another memory, over the same connections."""
        other = OpenAIClient(self._settings)
        other._memory, other._line = memory, self._line
        return other

    def ask(self, requests: Sequence[ApiRequest]) -> list[Delivery]:
        """The delivery of each request, in order, live or by batch jobs.

        Raises ApiError in one sentence; what was delivered until then is in the memory.
        """
        if self._missing(requests) or self._memory.notes():
            self._deliver(self._line.connection, requests)
        deliveries = [self._memory.recall(one.key) for one in requests]
        assert all(deliveries), "a request was neither delivered nor refused"
        return [one for one in deliveries if one is not None]

    def _missing(self, requests: Sequence[ApiRequest]) -> list[ApiRequest]:
        """The requests without a delivery, each once."""
        return list({one.key: one for one in requests if self._memory.recall(one.key) is None}.values())

    def _deliver(self, connection: Connection, requests: Sequence[ApiRequest]) -> None:
        from synclr_assets.synthesis.openai_batch import BatchJobs

        jobs = BatchJobs(self._settings, connection, self._memory)
        jobs.resume()
        if self._settings.use_batch_api:
            jobs.deliver(self._missing(requests))
        if missing := self._missing(requests):
            self._deliver_live(connection, missing)

    def _deliver_live(self, connection: Connection, requests: Sequence[ApiRequest]) -> None:
        gate = AdaptiveGate(self._settings.max_concurrency, self._line.concurrency)
        threads = ThreadPoolExecutor(min(self._settings.max_concurrency, len(requests)), "openai")
        try:
            running = [threads.submit(self._deliver_one, connection, gate, request) for request in requests]
            failures = [error for future in running if (error := future.result()) is not None]
        finally:
            gate.stop()
            threads.shutdown(wait=True, cancel_futures=True)
            self._line.concurrency = gate.limit
        if failures:
            raise failures[0]

    def _deliver_one(
        self, connection: Connection, gate: AdaptiveGate, request: ApiRequest
    ) -> ApiError | None:
        """Deliver and keep one request; the error no retry mends, which stops the others."""
        try:
            outcome = self._try_one(connection, gate, request)
        except Stopped:
            outcome = None
        except BaseException:
            gate.stop()
            raise
        if self._memory.recall(request.key) is None:
            self._memory.withdraw(request.key)
        if outcome is not None:
            gate.stop()
        return outcome

    def _try_one(self, connection: Connection, gate: AdaptiveGate, request: ApiRequest) -> ApiError | None:
        """Try until a delivery is kept; the error where none is. Raises Stopped."""
        last: TryAgain | None = None
        for failures in range(1, self._settings.max_tries + 1):
            with gate.request() as entered:
                if last is None:
                    self._memory.announce(request.key)
                answer = connection.send(request)
                if isinstance(answer, Delivery):
                    self._memory.keep(request.key, answer)
                    gate.succeeded()
                    return None
            if isinstance(answer, ApiError):
                return answer
            last = answer
            if last.in_doubt:
                self._memory.doubt(request.key)
            gate.pushed_back(entered, last.retry_after_seconds)
            if failures < self._settings.max_tries:
                own = backoff_seconds(failures, self._settings.max_backoff_seconds)
                gate.wait(max(own, last.retry_after_seconds or 0.0))
        return undelivered(self._settings, "a request", last)


class _Line:
    """Opens the connection when it is first needed, so that a generator can be made without its key."""

    def __init__(self, settings: OpenAIServerSettings) -> None:
        self._settings = settings
        self.concurrency = INITIAL_CONCURRENCY
        """Requests under way that the server was found to bear."""

    @cached_property
    def connection(self) -> Connection:
        return Connection(self._settings)


class Connection:
    """The `openai` client of one server: judges what comes back, never raises it, never shows the key."""

    def __init__(self, settings: OpenAIServerSettings) -> None:
        from openai import OpenAI

        self._settings = settings
        self._key = read_key(settings)
        self.client = OpenAI(
            base_url=settings.base_url,
            api_key=self._key,
            timeout=settings.timeout_seconds,
            max_retries=0,
        )

    def send(self, request: ApiRequest) -> Answer:
        """One try at one request."""
        client = self.client
        headers = {REQUEST_KEY_HEADER: request.key, IDEMPOTENCY_HEADER: request.key}
        endpoint = client.completions if request.endpoint == "completions" else client.chat.completions
        raw = self.fetch(lambda: endpoint.with_raw_response.create(**request.body, extra_headers=headers))
        return (
            raw if isinstance(raw, TryAgain) else answer_of(self._settings, raw.status, raw.headers, raw.text)
        )

    def fetch(self, call: Callable[[], Any]) -> RawAnswer | TryAgain:
        """The response of a raw call, whatever its status, the key taken out.

        A body that breaks off, a silence and a server out of reach mean TryAgain.
        """
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        try:
            response = call()
            status, headers, text = response.status_code, response.headers, response.text
        except APITimeoutError:
            return TryAgain(f"was silent for {self._settings.timeout_seconds:g} s", in_doubt=True)
        except APIConnectionError:
            return TryAgain("could not be reached or broke off", in_doubt=True)
        except APIStatusError as error:
            status, headers, text = error.status_code, error.response.headers, error.response.text
        return RawAnswer(status, dict(headers), redacted(text, self._key))


@dataclass(frozen=True)
class RawAnswer:
    """One HTTP response, without the key."""

    status: int
    """HTTP status."""
    headers: dict[str, str]
    """Response headers."""
    text: str
    """Whole body."""


def read_key(settings: OpenAIServerSettings) -> str:
    """The key out of the environment. Raises ApiKeyError where the variable is not set."""
    if settings.api_key_env is None:
        return KEYLESS
    key = os.environ.get(settings.api_key_env, "").strip()
    if not key:
        raise ApiKeyError(
            f"The environment variable {settings.api_key_env} is not set: put the key for {settings.base_url} "
            "there, or set api_key_env to null for a server that asks for none."
        )
    return key
