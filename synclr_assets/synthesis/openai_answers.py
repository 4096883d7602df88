"""What a server's answer means: a delivery, a reason to try again, or an error no retry mends. Sends nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from synclr_assets.synthesis.openai_settings import OpenAIServerSettings
from synclr_assets.synthesis.purchases import Delivery

REDACTED = "[key]"
_SHORTEST_SECRET = 8
_NO_SUCH_MODEL = {
    "model_not_found",
    "invalid_model",
    "model_deprecated",
    "model_not_available",
    "deprecated_model",
}
_NO_MODEL = re.compile(
    r"\bmodel\b.*((not|n't) (found|exist|offered|available)"
    r"|no such|unknown|deprecat|retired|decommission|shut ?down|no longer)"
    r"|(no such|unknown|invalid) model",
    re.IGNORECASE,
)
_DECLINED = {"content_filter", "content_policy_violation"}
_RETRIED = {408, 409, 425, 429}


class ApiError(ValueError):
    """A server that cannot be made to answer; one sentence, without the key."""


class ApiKeyError(ApiError):
    """The key is missing or refused."""


class UnknownModelError(ApiError):
    """The server does not offer the model: it was retired, or never there."""


@dataclass(frozen=True)
class TryAgain:
    """The request may succeed later."""

    reason: str
    retry_after_seconds: float | None = None
    in_doubt: bool = False
    """Whether no whole answer came: the server may have worked, and charged, for it."""


Answer = Delivery | TryAgain | ApiError


def redacted(text: str, key: str) -> str:
    """The text without the key. Stand-ins such as EMPTY, shorter than any key, are no secret."""
    return text.replace(key, REDACTED) if len(key) >= _SHORTEST_SECRET else text


def answer_of(
    settings: OpenAIServerSettings,
    status: int,
    headers: Mapping[str, str],
    text: str,
    *,
    batched: bool = False,
) -> Answer:
    """Judge one response of the completions or chat endpoint, the key already taken out of its text."""
    if status == 200:
        return _delivery(settings, text, batched)
    code, message = _error_of(text)
    if code in _DECLINED:
        return Delivery(message, True, settings.model, 0, 0, 0.0)
    where = f"{settings.base_url} ({status})"
    if code in _NO_SUCH_MODEL or (status in (400, 404, 410) and _NO_MODEL.search(message)):
        return UnknownModelError(
            f"Model {settings.model!r} is not offered by {where}: it was retired or is misspelt, "
            "so set `model` to one the server lists."
        )
    if status in (401, 403):
        variable = settings.api_key_env or "no variable (api_key_env is not set)"
        return ApiKeyError(f"The key in {variable} is refused by {where}: put a valid key there.")
    if code == "insufficient_quota":
        return ApiError(
            f"The account behind {settings.api_key_env} has no quota left at {where}: raise it there."
        )
    if status in _RETRIED or status >= 500:
        return TryAgain(f"answered {status}: {message}", retry_after_seconds(headers))
    return ApiError(
        f"{where} refuses the request for {settings.model!r}: {message.rstrip('.')}; change its settings."
    )


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait, from retry-after-ms or Retry-After (seconds or a date)."""
    named = {name.lower(): value for name, value in headers.items()}
    if (milliseconds := _number(named.get("retry-after-ms"))) is not None:
        return max(0.0, milliseconds / 1000)
    value = named.get("retry-after")
    if value is None or (seconds := _number(value)) is not None:
        return None if value is None else max(0.0, seconds or 0.0)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _delivery(settings: OpenAIServerSettings, text: str, batched: bool) -> Answer:
    try:
        content = json.loads(text)
        choice, usage = content["choices"][0], content.get("usage") or {}
        message = choice.get("message") or {}
        refusal = message.get("refusal")
        written = choice["text"] if "text" in choice else message.get("content")
        prompt_tokens = int(usage.get("prompt_tokens") or 0)
        completion_tokens = int(usage.get("completion_tokens") or 0)
        refused = bool(refusal) or choice.get("finish_reason") == "content_filter"
    except (ValueError, LookupError, TypeError, AttributeError):
        return TryAgain("answered with a body that is no whole completion", in_doubt=True)
    return Delivery(
        text=str(refusal or written or ""),
        refused=refused,
        generator=settings.model,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        usd=settings.usd(prompt_tokens, completion_tokens, batched=batched),
    )


def _error_of(text: str) -> tuple[str, str]:
    """Code and one-line message of an error body, whatever its shape."""
    try:
        content: Any = json.loads(text)
    except ValueError:
        content = text
    error = content.get("error", content) if isinstance(content, dict) else content
    if not isinstance(error, dict):
        return "", " ".join(str(error).split())[:300]
    message = error.get("message") or error.get("detail") or "no reason given"
    return str(error.get("code") or ""), " ".join(str(message).split())[:300]


def _number(value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def undelivered(settings: OpenAIServerSettings, what: str, last: TryAgain | None) -> ApiError:
    """The error of something whose tries are used up."""
    reason = last.reason.rstrip(".") if last else "declined it"
    return ApiError(
        f"{settings.base_url} did not deliver {what} in {settings.max_tries} tries (it last {reason}): "
        "run it again later, what was delivered and what is under way is kept."
    )
