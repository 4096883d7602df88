"""The background writers a configuration may name, and making one from its settings."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from synclr_assets.synthesis.frozen_backgrounds import FrozenBackgrounds
from synclr_assets.synthesis.openai_settings import OpenAIBackgroundSettings
from synclr_assets.synthesis.purchases import Enricher
from synclr_assets.synthesis.rehearsal_backgrounds import RehearsalBackgrounds


class BackgroundSettings(BaseModel):
    """Where the plausible backgrounds of a concept come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "rehearsal"
    """One of `BACKGROUND_KINDS`: the shipped lists, `frozen` for a dictionary of the user's own, `list` for lists
    that a model is asked for once per concept (SynCLR 3.1), `rewrite` for a model that extends plain captions."""
    path: Path | None = None
    """JSON file `{concept or source: [background, ...]}`; for `frozen` only."""
    openai: OpenAIBackgroundSettings | None = None
    """The server and model of `list` and `rewrite`, which cannot do without."""


def make_background_writer(settings: BackgroundSettings) -> Enricher:
    """The writer these settings name. Raises ValueError for an unknown kind, a bad file or a missing server."""
    if settings.kind not in _MAKERS:
        raise ValueError(
            f"background kind {settings.kind!r} is unknown; use one of: {', '.join(BACKGROUND_KINDS)}."
        )
    if settings.path is not None and settings.kind != "frozen":
        raise ValueError(
            f"background path {settings.path}: only kind 'frozen' reads a file; set kind to frozen."
        )
    if settings.openai is not None and settings.kind not in ("list", "rewrite"):
        raise ValueError(
            f"background kind {settings.kind!r} asks no server; leave openai out or set kind to list or rewrite."
        )
    return _MAKERS[settings.kind](settings)


def _rehearsal(settings: BackgroundSettings) -> Enricher:
    return RehearsalBackgrounds()


def _frozen(settings: BackgroundSettings) -> Enricher:
    if settings.path is None:
        raise ValueError(
            "background kind 'frozen' needs a path; name your JSON file {concept: [background, ...]}."
        )
    return FrozenBackgrounds(settings.path)


def _list(settings: BackgroundSettings) -> Enricher:
    from synclr_assets.synthesis.openai_backgrounds import OpenAIBackgroundLists

    return OpenAIBackgroundLists(_server(settings))


def _rewrite(settings: BackgroundSettings) -> Enricher:
    from synclr_assets.synthesis.openai_backgrounds import OpenAICaptionRewriter

    return OpenAICaptionRewriter(_server(settings))


def _server(settings: BackgroundSettings) -> OpenAIBackgroundSettings:
    if settings.openai is None:
        raise ValueError(
            f"background kind {settings.kind!r} needs its server; set openai with at least base_url and model."
        )
    return settings.openai


_MAKERS: Mapping[str, Callable[[BackgroundSettings], Enricher]] = {
    "rehearsal": _rehearsal,
    "frozen": _frozen,
    "list": _list,
    "rewrite": _rewrite,
}
BACKGROUND_KINDS = tuple(_MAKERS)
