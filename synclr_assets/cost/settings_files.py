"""Reading one YAML file into a checked model, or refusing it in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Content = TypeVar("Content", bound=BaseModel)


class SettingsFileError(ValueError):
    """A budget or rates file that cannot be used; one sentence."""


def read_settings(path: Path, model: type[Content], example: str) -> Content:
    """The content of a YAML file. Raises SettingsFileError with file, field, fault and mend."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsFileError(f"{path}: cannot be read ({error}); name a UTF-8 YAML file.") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise SettingsFileError(f"{path}: is not valid YAML ({reason}); correct that line.") from error
    if not isinstance(content, dict):
        raise SettingsFileError(f"{path}: holds no keys with values; write them such as `{example}`.")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsFileError(f"{path}, {_first_fault(error)}") from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "invalid_key":
        within = ".".join(str(part) for part in fault["loc"][:-1]) or "top level"
        return f"{within}: YAML reads a key as {fault['input']!r}, which is no text; correct or quote it."
    if fault["type"] == "extra_forbidden":
        return f"{place}: this is no key of the file; remove it or correct its spelling."
    message = fault["msg"][:1].lower() + fault["msg"][1:]
    return f"{place}: {message}, not {fault['input']!r:.60}; correct it."
