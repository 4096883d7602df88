"""The captioners a configuration may name, and making one from its settings."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from synclr_assets.synthesis.prompts import PromptSet, load_prompt_set
from synclr_assets.synthesis.protocols import Captioner
from synclr_assets.synthesis.rehearsal_captions import RehearsalCaptioner


class CaptionerSettings(BaseModel):
    """Which captioner writes the captions, and from which prompts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "rehearsal"
    """One of `CAPTIONER_KINDS`."""
    prompt_set: Path | None = None
    """YAML file of solved examples; None for the shipped set."""

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


_MAKERS: Mapping[str, Callable[[CaptionerSettings], Captioner]] = {"rehearsal": _rehearsal}
CAPTIONER_KINDS = tuple(_MAKERS)
