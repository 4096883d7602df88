"""A causal language model folder as a captioner: one line per request, whatever the batch, with its provenance."""

import json
from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from benchmarks.random_language_model import save_language_model
from synclr_assets.synthesis.captioners import CaptionerSettings, make_captioner
from synclr_assets.synthesis.identity import digest_hex
from synclr_assets.synthesis.model_source import ModelError
from synclr_assets.synthesis.prompts import load_prompt_set
from synclr_assets.synthesis.protocols import CaptionRequest, Completion
from synclr_assets.synthesis.transformers_captions import TransformersCaptioner
from synclr_assets.synthesis.transformers_settings import (
    DEFAULT_MODEL,
    DEFAULT_REVISION,
    TransformersCaptionerSettings,
)

PROMPTS = load_prompt_set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama that has learnt to end its lines."""
    lines = [line for lines in PROMPTS.examples.values() for line in lines]
    return save_language_model(tmp_path_factory.mktemp("models") / "tiny-llama", "tiny", lines, num_steps=40)


def captioner_of(folder: Path, **settings: Any) -> TransformersCaptioner:
    settings = {"model": str(folder), "licence": "CC0-1.0", "max_new_tokens": 40} | settings
    chosen = TransformersCaptionerSettings(**settings)
    made = make_captioner(CaptionerSettings(kind="transformers", transformers=chosen))
    assert isinstance(made, TransformersCaptioner)
    return made


def requests_of(count: int, attempt: int = 0) -> list[CaptionRequest]:
    return [
        PROMPTS.request(
            caption_id=digest_hex("test", number),
            concept=["tuba", "snow leopard", "garden snail"][number % 3],
            template=["c", "c_rel", "c_bg"][number % 3],
            relation="beside",
            background="a shed full of old tools",
            attempt=attempt,
        )
        for number in range(count)
    ]


def texts_of(completions: Sequence[Completion]) -> list[str]:
    return [completion.text for completion in completions]


def test_a_caption_is_the_completion_up_to_its_first_newline(folder: Path) -> None:
    completions = captioner_of(folder).complete(requests_of(60))
    assert all("\n" not in text and text == text.strip() for text in texts_of(completions))
    assert len(set(texts_of(completions))) > 50
    ended = [one for one in completions if one.completion_tokens < 40]
    assert 10 < len(ended) < 60
    assert all(1 <= one.completion_tokens <= 40 for one in completions)


def test_the_text_depends_on_caption_and_attempt_only(folder: Path) -> None:
    requests = requests_of(32)
    alone = texts_of(captioner_of(folder, batch_size=1).complete(requests))
    assert texts_of(captioner_of(folder, batch_size=16).complete(requests)) == alone
    backwards = captioner_of(folder, batch_size=5).complete(requests[::-1])
    assert texts_of(backwards)[::-1] == alone
    halves = captioner_of(folder)
    assert texts_of([*halves.complete(requests[:7]), *halves.complete(requests[7:])]) == alone
    again = texts_of(captioner_of(folder).complete(requests_of(32, attempt=1)))
    assert sum(one == other for one, other in zip(again, alone, strict=True)) < 5


def test_tokens_read_and_written_are_counted(folder: Path) -> None:
    captioner = captioner_of(folder, max_new_tokens=3)
    request = requests_of(1)[0]
    [completion] = captioner.complete([request])
    tokenizer = captioner._language_model.tokenizer
    assert completion.prompt_tokens == len(tokenizer(request.prompt)["input_ids"])
    assert completion.completion_tokens <= 3
    assert captioner.complete([]) == []


def test_memory_that_ends_halves_the_batch_and_changes_no_text(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = requests_of(40)
    expected = texts_of(captioner_of(folder).complete(requests))
    captioner = captioner_of(folder, batch_size=32)
    model = captioner._language_model.model
    forward = model.forward

    @wraps(forward)
    def small_memory(*, input_ids: torch.Tensor, **more: Any) -> Any:
        if len(input_ids) > 9:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(model, "forward", small_memory)
    assert texts_of(captioner.complete(requests)) == expected
    assert captioner.batch_size == 8


def test_one_sequence_that_is_too_much_is_said_in_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = captioner_of(folder, batch_size=4)

    def no_memory(**_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(captioner._language_model.model, "forward", no_memory)
    with pytest.raises(ModelError, match="one sequence is more than the memory"):
        captioner.complete(requests_of(3))


def test_other_runtime_errors_are_not_taken_for_a_lack_of_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = captioner_of(folder)

    def broken(**_: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(captioner._language_model.model, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        captioner.complete(requests_of(3))


def test_a_folder_is_known_by_its_content_and_needs_its_licence(folder: Path) -> None:
    provenance = captioner_of(folder).provenance
    assert (provenance.model, provenance.licence) == ("tiny-llama", "CC0-1.0")
    assert provenance.revision.startswith("sha256:")
    with pytest.raises(ModelError, match="its licence is not known"):
        captioner_of(folder, licence=None)


@pytest.mark.parametrize(
    ("changed", "is_part"),
    [
        ({"temperature": 0.7}, True),
        ({"top_p": 0.95}, True),
        ({"max_new_tokens": 60}, True),
        ({"dtype": "bfloat16"}, True),
        ({"batch_size": 3}, False),
        ({"device": "cpu"}, False),
    ],
)
def test_what_changes_captions_is_part_of_the_fingerprint(
    folder: Path, changed: dict[str, Any], is_part: bool
) -> None:
    plain = captioner_of(folder).provenance.fingerprint
    assert (captioner_of(folder, **changed).provenance.fingerprint != plain) is is_part


def test_the_default_is_llama_2_at_its_pinned_commit_under_its_own_licence() -> None:
    provenance = make_captioner(CaptionerSettings(kind="transformers")).provenance
    assert (provenance.model, provenance.revision) == (DEFAULT_MODEL, DEFAULT_REVISION)
    assert provenance.licence == "Llama 2 Community License"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "Qwen/Qwen2.5-7B"}, "needs the commit it is pinned to"),
        ({"model": "Qwen/Qwen2.5-7B", "revision": "main"}, "needs the commit it is pinned to"),
        ({"model": "somebody/unknown", "revision": "0" * 40}, "its licence is not known"),
        ({"model": "./absent/folder", "licence": "MIT"}, "there is no such folder"),
    ],
)
def test_a_model_that_cannot_be_pinned_is_refused_before_loading(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        make_captioner(
            CaptionerSettings(kind="transformers", transformers=TransformersCaptionerSettings(**settings))
        )


def test_a_folder_that_does_not_load_is_said_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelError, match="it cannot be loaded"):
        captioner_of(tmp_path).complete(requests_of(1))
    with pytest.raises(ModelError, match="is no torch device"):
        captioner_of(folder, device="gpu").complete(requests_of(1))


def test_a_model_with_too_few_positions_is_said_in_one_sentence(folder: Path) -> None:
    with pytest.raises(ModelError, match="exceed its 4096 positions"):
        captioner_of(folder, max_new_tokens=4090).complete(requests_of(1))


def test_settings_refuse_what_makes_no_sense() -> None:
    for wrong in ({"temperature": 0.0}, {"top_p": 1.1}, {"batch_size": 0}, {"dtype": "int8"}, {"seed": 1}):
        with pytest.raises(ValidationError):
            TransformersCaptionerSettings(**wrong)  # type: ignore[arg-type]
