"""The few-shot prompts of SynCLR 3.1: a header, three solved examples drawn per caption, and the open query.

A prompt set is a data file, so that users can bring their own; its content is part of every fingerprint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import yaml

from synclr_assets.synthesis.caption_checks import mentions
from synclr_assets.synthesis.identity import TEMPLATES, digest_hex, draw_distinct
from synclr_assets.synthesis.protocols import CaptionRequest

ARROW = " => "
NUM_SHOTS = 3
"""Solved examples in one prompt (SynCLR 3.1)."""

_KEYS = {"version", "headers", "relations", "examples"}


class PromptSetError(ValueError):
    """A prompt set file that cannot be used; one sentence."""


@dataclass(frozen=True)
class PromptSet:
    """Headers, relations and solved examples; see `load_prompt_set`."""

    version: str
    headers: Mapping[str, str]
    """Template -> the line a prompt opens with."""
    relations: tuple[str, ...]
    examples: Mapping[str, tuple[str, ...]]
    """Template -> solved examples, each `query => caption`."""
    fingerprint: str
    """32 hex characters over the version and every word."""

    def request(
        self,
        *,
        caption_id: str,
        concept: str,
        template: str,
        relation: str | None,
        background: str | None,
        attempt: int,
    ) -> CaptionRequest:
        """The request of one caption with its rendered prompt, which ends in the arrow."""
        detail = {"c": None, "c_rel": relation, "c_bg": background}[template]
        assert template == "c" or detail, (
            f"a {template} prompt of {concept!r} needs its relation or background"
        )
        shots = draw_distinct("shots", caption_id, attempt, choices=self.examples[template], count=NUM_SHOTS)
        query = f"{concept}, {detail}" if detail else concept
        prompt = "\n".join([self.headers[template], *shots, query + ARROW.rstrip()])
        return CaptionRequest(caption_id, concept, template, relation, background, attempt, prompt)


def load_prompt_set(path: Path | None = None) -> PromptSet:
    """Read a prompt set file, or the shipped one. Raises PromptSetError in one sentence."""
    if path is None:
        return _shipped_prompt_set()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptSetError(
            f"{path}: the prompt set cannot be read ({error}); name a UTF-8 YAML file."
        ) from error
    return _parse(text, str(path))


@lru_cache(maxsize=1)
def _shipped_prompt_set() -> PromptSet:
    file = resources.files("synclr_assets.synthesis").joinpath("prompt_sets/default.yaml")
    return _parse(file.read_text(encoding="utf-8"), "prompt_sets/default.yaml")


def _parse(text: str, name: str) -> PromptSet:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise PromptSetError(f"{name}: this is not valid YAML ({reason}); correct that line.") from error
    if not isinstance(content, dict) or set(content) != _KEYS:
        raise PromptSetError(f"{name}: a prompt set holds exactly the keys {', '.join(sorted(_KEYS))}.")
    headers, examples = content["headers"], content["examples"]
    for key, value in (("headers", headers), ("examples", examples)):
        if not isinstance(value, dict) or set(value) != set(TEMPLATES):
            raise PromptSetError(f"{name}: `{key}` needs one entry for each of {', '.join(TEMPLATES)}.")
    relations = _lines(content["relations"], f"{name}: `relations`", least=1)
    parsed = {key: _lines(examples[key], f"{name}: `examples.{key}`", least=NUM_SHOTS) for key in TEMPLATES}
    for template, lines in parsed.items():
        for line in lines:
            _check_example(line, template, relations, name)
    words = [f"{key}={headers[key]}" for key in TEMPLATES] + list(relations)
    words += [line for key in TEMPLATES for line in (key, *parsed[key])]
    version = str(content["version"])
    return PromptSet(
        version=version,
        headers={key: str(headers[key]) for key in TEMPLATES},
        relations=relations,
        examples=parsed,
        fingerprint=digest_hex("prompt-set", version, *words),
    )


def _lines(value: object, where: str, least: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) and line.strip() for line in value):
        raise PromptSetError(f"{where} must be a list of lines of text.")
    if len(value) < least or len(set(value)) < len(value):
        raise PromptSetError(f"{where} needs at least {least} different lines; it has {len(set(value))}.")
    return tuple(line.strip() for line in value)


def _check_example(line: str, template: str, relations: tuple[str, ...], name: str) -> None:
    """A solved example shows the model what is wanted: its caption must name what its query names."""
    query, arrow, caption = line.partition(ARROW)
    if not arrow or not query or not caption or ARROW in caption or "\n" in line:
        raise PromptSetError(f"{name}: the example {line!r} must read `query{ARROW}caption` on one line.")
    concept, _, detail = query.rpartition(", ") if template != "c" else (query, "", "")
    if not concept or not mentions(caption, concept):
        raise PromptSetError(f"{name}: the caption of the example {line!r} does not mention its concept.")
    if template == "c_rel" and (detail not in relations or detail not in caption):
        raise PromptSetError(
            f"{name}: the example {line!r} needs a listed relation in its query and its caption."
        )
    if template == "c_bg" and not mentions(caption, detail):
        raise PromptSetError(f"{name}: the caption of the example {line!r} does not mention its background.")
