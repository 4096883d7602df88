"""The captioner against `transformers serve`, an OpenAI-compatible server nobody here wrote, with a tiny Llama."""

from collections.abc import Iterator

import pytest

from synclr_assets.synthesis.openai_answers import ApiError
from synclr_assets.synthesis.openai_captions import make_openai_captioner
from synclr_assets.synthesis.openai_settings import OpenAICaptionerSettings
from synclr_assets.synthesis.prompts import load_prompt_set
from synclr_assets.synthesis.protocols import CaptionRequest
from tests.synclr_assets.synthesis.serving import serving

pytest.importorskip("fastapi", reason="`transformers serve` needs fastapi and uvicorn")
pytest.importorskip("uvicorn", reason="`transformers serve` needs fastapi and uvicorn")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(base URL, model name) of a running server."""
    from tests.synclr_assets.synthesis.tiny_llama import save_tiny_llama

    folder = save_tiny_llama(tmp_path_factory.mktemp("served") / "tiny-llama")
    with serving(folder) as base_url:
        yield base_url, str(folder)


def settings_of(served: tuple[str, str], **changes: object) -> OpenAICaptionerSettings:
    base_url, model = served
    given = {
        "base_url": base_url,
        "model": model,
        "api_key_env": None,
        "max_tokens": 12,
        "max_concurrency": 1,
    }
    return OpenAICaptionerSettings.model_validate(given | changes)


def requests_of(count: int) -> list[CaptionRequest]:
    prompts = load_prompt_set()
    return [
        prompts.request(
            caption_id=f"{n:032x}", concept="apple", template="c", relation=None, background=None, attempt=0
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_a_real_server_completes_and_the_seed_decides(served: tuple[str, str], endpoint: str) -> None:
    requests = requests_of(4)
    captioner = make_openai_captioner(settings_of(served, endpoint=endpoint), load_prompt_set())
    first = captioner.complete(requests)
    assert all(0 < one.completion_tokens <= 12 and one.prompt_tokens > 20 for one in first)
    assert all("\n" not in one.text for one in first)
    assert len({one.text for one in first}) > 1
    again = make_openai_captioner(settings_of(served, endpoint=endpoint), load_prompt_set())
    assert again.complete(requests[::-1]) == first[::-1]


def test_a_model_the_server_does_not_hold_is_one_sentence(served: tuple[str, str]) -> None:
    captioner = make_openai_captioner(settings_of(served, model="writer-of-2023"), load_prompt_set())
    with pytest.raises(ApiError, match=r"'writer-of-2023'"):
        captioner.complete(requests_of(2))
