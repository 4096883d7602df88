"""Backgrounds from a dictionary of the user's own: read, checked, and written out. Asks no model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from synclr_assets.synthesis.identity import digest_hex
from synclr_assets.synthesis.protocols import ModelProvenance, settings_fingerprint


class BackgroundFileError(ValueError):
    """A background dictionary that cannot be used, or that lacks a concept; one sentence."""


class FrozenBackgrounds:
    """The `BackgroundWriter` of a user's JSON dictionary."""

    origin: Literal["frozen", "generated"] = "frozen"

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._lists = load_frozen_backgrounds(path)
        content = digest_hex("frozen-backgrounds", json.dumps(self._lists, sort_keys=True))
        self.provenance = ModelProvenance(
            model=f"frozen:{path.name}",
            revision=content,
            licence="as brought by the user",
            fingerprint=settings_fingerprint("frozen-backgrounds", content),
        )

    def write(self, concept: str, source: str, count: int) -> list[str]:
        """The concept's own list, else its source's. Raises BackgroundFileError when there is neither."""
        for key in (concept, source):
            if key in self._lists:
                return self._lists[key][:count]
        raise BackgroundFileError(
            f"{self._name}: there is no list for the concept {concept!r} nor its source {source!r}; add one, "
            "or leave c_bg out of the concept's templates."
        )


def load_frozen_backgrounds(path: Path) -> dict[str, list[str]]:
    """Read `{concept or source: [background, ...]}` from JSON. Raises BackgroundFileError in one sentence."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BackgroundFileError(
            f"{path}: the file cannot be read ({reason}); name a readable JSON file."
        ) from error
    except UnicodeDecodeError as error:
        raise BackgroundFileError(f"{path}: the file is not UTF-8 text; save it as UTF-8.") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BackgroundFileError(
            f"{path}: this is not valid JSON ({error.msg} at {place}); mend it."
        ) from error
    if not isinstance(content, dict) or not content:
        raise BackgroundFileError(
            f'{path}: the file must hold an object such as {{"apple": ["a wooden table"]}}.'
        )
    return {
        concept: _checked(value, f"{path}: the list of {concept!r}") for concept, value in content.items()
    }


def _checked(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise BackgroundFileError(f"{where} must be a list of at least one background.")
    for background in value:
        if not isinstance(background, str) or not background.strip() or "\n" in background:
            raise BackgroundFileError(f"{where} holds {background!r}; each background is one line of text.")
    stripped = [" ".join(background.split()) for background in value]
    repeated: Mapping[str, None] = {text: None for text in stripped if stripped.count(text) > 1}
    if repeated:
        raise BackgroundFileError(f"{where} holds {next(iter(repeated))!r} twice; keep one of them.")
    return stripped
