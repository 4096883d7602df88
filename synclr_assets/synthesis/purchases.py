"""What is paid per response: the response as it is kept, its memory, and the generators that buy.

Holds protocols and values only: the store keeps deliveries, clients fetch them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

from synclr_assets.synthesis.identity import digest_hex
from synclr_assets.synthesis.protocols import BackgroundWriter, CaptionRequest, Completion, ModelProvenance


@dataclass(frozen=True)
class Delivery:
    """One response a server delivered whole, and so one that was paid for."""

    text: str
    """What the model wrote; for a refusal its words, or nothing."""
    refused: bool
    """Whether the provider says that the model declined."""
    generator: str
    """Model id, as on the rows it leads to."""
    prompt_tokens: int
    """Tokens read, as the server counts them."""
    completion_tokens: int
    """Tokens written, as the server counts them."""
    usd: float
    """Price, in US dollars."""


class DeliveryMemory(Protocol):
    """Keeps deliveries before anything else happens to them, and notes of jobs that outlive the process."""

    def recall(self, key: str) -> Delivery | None:
        """The delivery kept under a request key, or None."""

    def announce(self, key: str) -> None:
        """Make durable that a request is about to be sent: a kill then leaves it in doubt, not unknown."""

    def doubt(self, key: str) -> None:
        """Count a try without a whole answer, which the server may have charged for."""

    def withdraw(self, key: str) -> None:
        """The server was heard to decline an announced request, or none of its tries is under way."""

    def keep(self, key: str, delivery: Delivery) -> None:
        """Make a delivery durable; returns when it is. Called from several threads."""

    def notes(self) -> dict[str, dict[str, Any]]:
        """Notes by name."""

    def keep_note(self, name: str, note: Mapping[str, Any]) -> None:
        """Make a note durable in place of any earlier one of the name."""

    def drop_note(self, name: str) -> None:
        """Remove a note; an absent one is fine."""


class TransientMemory:
    """The `DeliveryMemory` of a process that keeps nothing: for probes and trials."""

    def __init__(self) -> None:
        self._deliveries: dict[str, Delivery] = {}
        self._notes: dict[str, dict[str, Any]] = {}

    def recall(self, key: str) -> Delivery | None:
        return self._deliveries.get(key)

    def announce(self, key: str) -> None:
        return

    def doubt(self, key: str) -> None:
        return

    def withdraw(self, key: str) -> None:
        return

    def keep(self, key: str, delivery: Delivery) -> None:
        self._deliveries[key] = delivery

    def notes(self) -> dict[str, dict[str, Any]]:
        return dict(self._notes)

    def keep_note(self, name: str, note: Mapping[str, Any]) -> None:
        self._notes[name] = dict(note)

    def drop_note(self, name: str) -> None:
        self._notes.pop(name, None)


@runtime_checkable
class PaidGenerator(Protocol):
    """A generator that pays per response."""

    def remembering(self, memory: DeliveryMemory) -> Self:
        """The same generator, which looks into `memory` before it asks and keeps every delivery there."""


@runtime_checkable
class ListWriter(Protocol):
    """A background writer that asks a model, for many concepts at once."""

    @property
    def concepts_per_commit(self) -> int:
        """Concepts worth asking for together."""

    def shared_list(self, source: str) -> str | None:
        """What the one list of a fine-grained source is about; None where every concept has its own."""

    def write_lists(self, subjects: Sequence[str], count: int) -> list[list[str]]:
        """About `count` distinct backgrounds per subject, in order; none for a subject that was given up."""


@runtime_checkable
class CaptionRewriter(Protocol):
    """Adds a fitting background to a finished caption."""

    origin: str

    @property
    def provenance(self) -> ModelProvenance:
        """What goes on every caption it rewrites."""

    def complete(self, requests: Sequence[CaptionRequest]) -> list[Completion]:
        """One caption with a background per request, whose `prompt` is the caption as it stands."""

    def background_of(self, request: CaptionRequest) -> str | None:
        """The background added for a request that was completed; None where the answer was unusable."""


Enricher = BackgroundWriter | CaptionRewriter
"""Where c_bg captions get their backgrounds: from lists, or by rewriting."""


def request_key(*parts: str | int) -> str:
    """32 hex characters over everything that decides a request."""
    return digest_hex("purchase", *parts)
