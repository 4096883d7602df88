"""Settings of generators behind an OpenAI-compatible server. Holds the name of the key's variable, never a key."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
SHARED_LISTS = {
    "aircraft": "an aircraft",
    "cars": "a car",
    "flowers": "a flower",
    "food": "a dish of food",
    "pets": "a cat or a dog",
}
"""Fine-grained sources whose concepts share one background list (SynCLR 3.1), and what their lists are about."""


class OpenAIServerSettings(BaseModel):
    """One model behind one server: address, limits, prices."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str
    """Address up to and with `/v1`, without user, password or query."""
    model: str = Field(min_length=1)
    """Model name as the server lists it. There is no default: hosted models are retired."""
    revision: str = "unpinned"
    """Revision the server runs, where its operator pins one; written on every row."""
    licence: str = "terms of the provider"
    """Licence or terms the outputs come under; written on every row."""
    api_key_env: str | None = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; None for a server that asks for none."""
    send_seed: bool = True
    """Whether requests carry a seed drawn from caption and attempt; False for servers that refuse the field."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """Longest silence of the server within one request, in seconds."""
    max_concurrency: int = Field(default=16, ge=1, le=512)
    """Most requests under way at once; the rate found to work stays below it."""
    max_tries: int = Field(default=8, ge=1)
    """Tries per request, the first included, before the stage stops with the server's last answer."""
    max_backoff_seconds: float = Field(default=30.0, gt=0)
    """Longest wait between two tries unless the server names one itself, in seconds."""
    usd_per_million_prompt_tokens: float = Field(default=0.0, ge=0)
    """Price of a million tokens read, in US dollars."""
    usd_per_million_completion_tokens: float = Field(default=0.0, ge=0)
    """Price of a million tokens written, in US dollars."""
    use_batch_api: bool = False
    """Whether requests go through the provider's Batch API: slower, and cheaper by `batch_price_factor`."""
    batch_price_factor: float = Field(default=0.5, ge=0, le=1)
    """What a request costs in a batch, as a share of its live price."""
    batch_poll_seconds: float = Field(default=30.0, gt=0)
    """Time between two looks at a running batch, in seconds."""
    least_requests_per_batch: int = Field(default=32, ge=1)
    """Fewer open requests than this are asked live, at the live price: redraws would wait hours for a job of one."""
    requests_per_batch: int = Field(default=20_000, ge=1, le=50_000)
    """Most requests in one batch job."""

    @field_validator("base_url")
    @classmethod
    def _address_without_secrets(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must look like https://host/v1.")
        if parts.username or parts.password or parts.query:
            raise ValueError("base_url holds no user, password or query: put the key into the environment.")
        return value.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _a_name_and_no_key(cls, value: str | None) -> str | None:
        if value is not None and not _VARIABLE.fullmatch(value):
            raise ValueError(
                "api_key_env is the name of an environment variable such as OPENAI_API_KEY: "
                "put the key itself into that variable."
            )
        return value

    def usd(self, prompt_tokens: int, completion_tokens: int, *, batched: bool) -> float:
        """Price of one response, in US dollars."""
        live = (
            prompt_tokens * self.usd_per_million_prompt_tokens
            + completion_tokens * self.usd_per_million_completion_tokens
        ) / 1e6
        return live * self.batch_price_factor if batched else live


class OpenAICaptionerSettings(OpenAIServerSettings):
    """A captioner behind a server: which endpoint, and how it samples (SynCLR 3.1)."""

    endpoint: Literal["completions", "chat"] = "completions"
    """`completions` for base models, which continue the prompt; `chat` for instruct models."""
    temperature: float = Field(default=0.8, ge=0)
    """Sampling temperature."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    """Nucleus of the sampling distribution."""
    max_tokens: int = Field(default=100, ge=1)
    """Most new tokens per caption."""


class OpenAIBackgroundSettings(OpenAIServerSettings):
    """A model that lists backgrounds or rewrites captions, always asked as a chat."""

    structured_output: Literal["json_schema", "json_object", "none"] = "json_schema"
    """What the server is asked for: a JSON schema, any JSON object, or plain text; answers are checked anyway."""
    temperature: float | None = Field(default=1.0, ge=0)
    """Sampling temperature; None leaves it to the server, for models that refuse the field."""
    max_tokens: int = Field(default=4096, ge=1)
    """Most new tokens per answer."""
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """Name of that limit on the wire; older servers know `max_tokens` only."""
    max_wrong_answers: int = Field(default=4, ge=1)
    """Answers per concept that may fail their checks before the concept is given up."""
    shared_lists: dict[str, str] = Field(default_factory=lambda: dict(SHARED_LISTS))
    """Source -> what it is about, for sources whose concepts share one list; others get a list per concept."""
