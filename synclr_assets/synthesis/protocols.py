"""What a generator must offer: the captioner, the background writer, the image sampler, and the rows between.

Holds no generator and no setting: implementations live in their own modules and are made by the registries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from synclr_assets.synthesis.identity import digest_hex

UInt8Image = NDArray[np.uint8]
"""One RGB image: uint8 [height, width, 3]."""


@dataclass(frozen=True)
class ModelProvenance:
    """Which model made a row, under which licence and settings: carried by every row it makes."""

    model: str
    """Model id as a user would name it, e.g. a hub id or `rehearsal-painter`."""
    revision: str
    """Pinned revision of the model: a commit, a version."""
    licence: str
    """SPDX id or name of the licence the outputs come under."""
    fingerprint: str
    """Hex hash of model, revision, prompt set and sampling settings; see `settings_fingerprint`."""


@dataclass(frozen=True)
class CaptionRequest:
    """One caption to be written: everything a captioner may depend on (SynCLR 3.1)."""

    caption_id: str
    """32 hex characters, see `identity.caption_id`."""
    concept: str
    """Display text of the concept."""
    template: str
    """`c`, `c_rel` or `c_bg`."""
    relation: str | None
    """Positional relation of a `c_rel` caption, else None."""
    background: str | None
    """Background of a `c_bg` caption, else None."""
    attempt: int
    """0 for the first try; each redraw of the same caption counts up."""
    prompt: str
    """The rendered few-shot prompt that a language model would complete."""


@dataclass(frozen=True)
class Completion:
    """The text a captioner answered with, and what it cost."""

    text: str
    """The completion up to its first newline, without surrounding blanks; unchecked."""
    prompt_tokens: int
    """Tokens read."""
    completion_tokens: int
    """Tokens written."""


class Captioner(Protocol):
    """Completes caption requests; the text of a request never depends on its neighbours in the batch."""

    @property
    def provenance(self) -> ModelProvenance:
        """What goes on every row this captioner writes."""

    def complete(self, requests: Sequence[CaptionRequest]) -> list[Completion]:
        """One completion per request, in order."""


class BackgroundWriter(Protocol):
    """Names plausible backgrounds of a concept (SynCLR 3.1, Table 2)."""

    @property
    def provenance(self) -> ModelProvenance:
        """What goes on every row this writer makes."""

    @property
    def origin(self) -> Literal["frozen", "generated"]:
        """Whether the backgrounds come from a shipped or brought dictionary, or from a model."""

    def write(self, concept: str, source: str, count: int) -> list[str]:
        """At most `count` distinct backgrounds of a concept, given its display text and its source."""


@dataclass(frozen=True)
class ImageRequest:
    """One view of one caption to be drawn (SynCLR 3.2)."""

    caption_id: str
    """32 hex characters, see `identity.caption_id`."""
    view: int
    """0 to 3: which of the caption's positives."""
    reseed: int
    """0 for the first try; counts up each time a check refused this view."""
    seed: int
    """In [0, 2**63), see `identity.image_seed`: the only noise this image may use."""
    text: str
    """The final caption."""
    concept: str
    """Display text of the concept the caption is about."""


@dataclass(frozen=True)
class RefusedView:
    """What a sampler answers instead of an image that it will not hand out."""

    reason: str
    """Why, in the style of the checks' reasons, e.g. `unsafe`."""


class ImageSampler(Protocol):
    """Draws images of captions; an image never depends on its neighbours in the batch."""

    @property
    def provenance(self) -> ModelProvenance:
        """What goes on every row this sampler makes."""

    @property
    def size_px(self) -> int:
        """Height and width of every image, in pixels."""

    @property
    def images_per_batch(self) -> int:
        """Requests that are best asked for at once; may fall while sampling."""

    @property
    def num_gpus(self) -> int:
        """GPUs that are held while sampling."""

    def sample(self, requests: Sequence[ImageRequest]) -> Sequence[UInt8Image | RefusedView]:
        """One uint8 [size_px, size_px, 3] image per request, in order, or the reason there is none."""


def settings_fingerprint(model: str, revision: str, **settings: str | int | float) -> str:
    """32 hex characters over model, revision and every named setting."""
    parts: list[str | int] = ["settings", model, revision]
    for name in sorted(settings):
        value = settings[name]
        parts += [name, value if isinstance(value, int) else str(value)]
    return digest_hex(*parts)
