"""The captioners a configuration may name, and making one from its settings."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from synclr_assets.synthesis.openai_settings import OpenAICaptionerSettings
from synclr_assets.synthesis.prompts import PromptSet, load_prompt_set
from synclr_assets.synthesis.protocols import Captioner
from synclr_assets.synthesis.rehearsal_captions import RehearsalCaptioner
from synclr_assets.synthesis.transformers_settings import TransformersCaptionerSettings


class CaptionerSettings(BaseModel):
    """Which captioner writes the captions, and from which prompts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "rehearsal"
    """One of `CAPTIONER_KINDS`."""
    prompt_set: Path | None = None
    """YAML file of solved examples; None for the shipped set."""
    transformers: TransformersCaptionerSettings = TransformersCaptionerSettings()
    """The language model of kind `transformers`; of no effect on other kinds."""
    openai: OpenAICaptionerSettings | None = None
    """The server of kind `openai_compatible`, which cannot do without."""

    def prompts(self) -> PromptSet:
        """The prompt set of these settings. Raises PromptSetError."""
        return load_prompt_set(self.prompt_set)


def make_captioner(settings: CaptionerSettings) -> Captioner:
    """The captioner these settings name. Raises ValueError for an unknown kind or a bad prompt set."""
    if settings.kind not in _MAKERS:
        raise ValueError(
            f"captioner kind {settings.kind!r} is unknown; use one of: {', '.join(CAPTIONER_KINDS)}."
        )
    return _MAKERS[settings.kind](settings)


def _rehearsal(settings: CaptionerSettings) -> Captioner:
    return RehearsalCaptioner(settings.prompts().fingerprint)


def _transformers(settings: CaptionerSettings) -> Captioner:
    from synclr_assets.synthesis.transformers_captions import TransformersCaptioner

    return TransformersCaptioner(settings.transformers, settings.prompts().fingerprint)


def _openai_compatible(settings: CaptionerSettings) -> Captioner:
    from synclr_assets.synthesis.openai_captions import make_openai_captioner

    if settings.openai is None:
        raise ValueError(
            "captioner kind 'openai_compatible' needs its server; set openai with at least base_url and model."
        )
    return make_openai_captioner(settings.openai, settings.prompts())


_MAKERS: Mapping[str, Callable[[CaptionerSettings], Captioner]] = {
    "rehearsal": _rehearsal,
    "transformers": _transformers,
    "openai_compatible": _openai_compatible,
}
CAPTIONER_KINDS = tuple(_MAKERS)
