"""The background writers a configuration may name, and making one from its settings."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from synclr_assets.synthesis.frozen_backgrounds import FrozenBackgrounds
from synclr_assets.synthesis.protocols import BackgroundWriter
from synclr_assets.synthesis.rehearsal_backgrounds import RehearsalBackgrounds


class BackgroundSettings(BaseModel):
    """Where the plausible backgrounds of a concept come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "rehearsal"
    """One of `BACKGROUND_KINDS`: the shipped lists, or `frozen` for a dictionary of the user's own."""
    path: Path | None = None
    """JSON file `{concept or source: [background, ...]}`; for `frozen` only."""


def make_background_writer(settings: BackgroundSettings) -> BackgroundWriter:
    """The writer these settings name. Raises ValueError for an unknown kind or a bad file."""
    if settings.kind not in _MAKERS:
        raise ValueError(
            f"background kind {settings.kind!r} is unknown; use one of: {', '.join(BACKGROUND_KINDS)}."
        )
    return _MAKERS[settings.kind](settings)


def _rehearsal(settings: BackgroundSettings) -> BackgroundWriter:
    if settings.path is not None:
        raise ValueError(
            f"background path {settings.path}: only kind 'frozen' reads a file; set kind to frozen."
        )
    return RehearsalBackgrounds()


def _frozen(settings: BackgroundSettings) -> BackgroundWriter:
    if settings.path is None:
        raise ValueError(
            "background kind 'frozen' needs a path; name your JSON file {concept: [background, ...]}."
        )
    return FrozenBackgrounds(settings.path)


_MAKERS: Mapping[str, Callable[[BackgroundSettings], BackgroundWriter]] = {
    "rehearsal": _rehearsal,
    "frozen": _frozen,
}
BACKGROUND_KINDS = tuple(_MAKERS)
