"""A captioner behind a server: what it asks, what it makes of the answer, and what it never lets out."""

import json
import time
import traceback
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from synclr_assets.synthesis.openai_answers import ApiError, ApiKeyError, UnknownModelError
from synclr_assets.synthesis.openai_captions import first_line, make_openai_captioner, request_seed
from synclr_assets.synthesis.openai_settings import OpenAICaptionerSettings, OpenAIServerSettings
from synclr_assets.synthesis.prompts import load_prompt_set
from synclr_assets.synthesis.protocols import CaptionRequest
from tests.synclr_assets.synthesis.faulty_server import KEY, MODEL, FaultyServer

VARIABLE = "SYNCLR_TEST_API_KEY"
PROMPTS = load_prompt_set()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    monkeypatch.setenv(VARIABLE, KEY)
    with FaultyServer() as running:
        yield running


def settings_for(server: FaultyServer, **changes: object) -> OpenAICaptionerSettings:
    given = {
        "base_url": server.base_url,
        "model": MODEL,
        "api_key_env": VARIABLE,
        "max_backoff_seconds": 0.02,
    }
    return OpenAICaptionerSettings.model_validate(given | changes)


def request_of(number: int, attempt: int = 0) -> CaptionRequest:
    return PROMPTS.request(
        caption_id=f"{number:032x}",
        concept="apple",
        template="c",
        relation=None,
        background=None,
        attempt=attempt,
    )


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_a_caption_is_the_first_line_and_depends_on_no_neighbour(server: FaultyServer, endpoint: str) -> None:
    captioner = make_openai_captioner(settings_for(server, endpoint=endpoint), PROMPTS)
    together = captioner.complete([request_of(number) for number in range(5)])
    assert all(one.text.startswith("The apple") and "\n" not in one.text for one in together)
    assert len({one.text for one in together}) == 5
    assert all(one.prompt_tokens > 20 and one.completion_tokens > 5 for one in together)
    again = make_openai_captioner(settings_for(server, endpoint=endpoint), PROMPTS)
    assert again.complete([request_of(3)]) == [together[3]]


def test_the_same_request_is_bought_once(server: FaultyServer) -> None:
    captioner = make_openai_captioner(settings_for(server), PROMPTS)
    first = captioner.complete([request_of(1), request_of(1), request_of(1, attempt=1)])
    assert first[0] == first[1] != first[2]
    captioner.complete([request_of(1)])
    deadline = time.monotonic() + 10  # the server counts a delivery just after its last byte has left
    while server.num_delivered < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.num_delivered == 2


def test_the_wire_carries_the_sampling_settings(server: FaultyServer) -> None:
    make_openai_captioner(settings_for(server, temperature=0.5, max_tokens=30), PROMPTS).complete(
        [request_of(1)]
    )
    body = json.loads(next(iter(server.seen)))
    request = request_of(1)
    assert body == {
        "model": MODEL,
        "prompt": request.prompt,
        "stop": "\n",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 30,
        "seed": request_seed(request),
    }
    assert 0 <= body["seed"] < 2**31


def test_a_server_without_seeds_is_sent_none(server: FaultyServer) -> None:
    make_openai_captioner(settings_for(server, send_seed=False), PROMPTS).complete([request_of(1)])
    assert "seed" not in json.loads(next(iter(server.seen)))


def test_what_changes_captions_changes_the_fingerprint_and_nothing_else_does(server: FaultyServer) -> None:
    def fingerprint(**changes: object) -> str:
        return make_openai_captioner(settings_for(server, **changes), PROMPTS).provenance.fingerprint

    deciding = [
        {"model": "other"},
        {"revision": "2"},
        {"temperature": 0.1},
        {"top_p": 0.5},
        {"max_tokens": 7},
        {"endpoint": "chat"},
        {"send_seed": False},
    ]
    indifferent = [
        {"max_concurrency": 1},
        {"timeout_seconds": 3},
        {"use_batch_api": True},
        {"base_url": "http://localhost:1/v1"},
        {"usd_per_million_prompt_tokens": 9},
    ]
    assert len({fingerprint(), *(fingerprint(**change) for change in deciding)}) == 1 + len(deciding)
    assert {fingerprint(**change) for change in indifferent} == {fingerprint()}


def test_a_retired_model_is_one_sentence(server: FaultyServer) -> None:
    captioner = make_openai_captioner(settings_for(server, model="writer-of-2023"), PROMPTS)
    with pytest.raises(
        UnknownModelError, match=r"^Model 'writer-of-2023' is not offered by .* the server lists\.$"
    ):
        captioner.complete([request_of(number) for number in range(30)])


def test_a_missing_key_is_asked_for_by_name(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    captioner = make_openai_captioner(settings_for(server), PROMPTS)
    with pytest.raises(ApiKeyError, match=f"^The environment variable {VARIABLE} is not set"):
        captioner.complete([request_of(1)])


def test_a_refused_key_stands_nowhere_in_the_traceback(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "sk-wrong-9a8b7c6d5e4f"
    monkeypatch.setenv(VARIABLE, wrong)
    captioner = make_openai_captioner(settings_for(server), PROMPTS)
    with pytest.raises(ApiKeyError, match=f"The key in {VARIABLE} is refused") as caught:
        captioner.complete([request_of(1)])
    assert wrong not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_an_echoed_key_is_taken_out_of_the_last_answer(server: FaultyServer) -> None:
    server.fault_share, server.faults = 1.0, ("500",)
    captioner = make_openai_captioner(settings_for(server, max_tries=3), PROMPTS)
    with pytest.raises(
        ApiError, match=r"in 3 tries \(it last answered 500: The server had an error with \[key\]\)"
    ):
        captioner.complete([request_of(1)])
    assert server.num_requests == 3


def test_a_server_out_of_reach_is_one_sentence(server: FaultyServer) -> None:
    captioner = make_openai_captioner(
        settings_for(server, base_url="http://127.0.0.1:9/v1", max_tries=2), PROMPTS
    )
    with pytest.raises(
        ApiError, match=r"did not deliver a request in 2 tries \(it last could not be reached"
    ):
        captioner.complete([request_of(1)])


def test_settings_hold_no_key_and_show_none() -> None:
    secret = "sk-9a8b7c6d5e4f"
    bad = [
        {"base_url": "https://host/v1", "model": "m", "api_key_env": secret},
        {"base_url": f"https://user:{secret}@host/v1", "model": "m"},
        {"base_url": f"https://host/v1?key={secret}", "model": "m"},
        {"base_url": "https://host/v1", "model": "m", "api_key": secret},
        {"base_url": "host", "model": "m"},
        {"base_url": "https://host/v1"},
    ]
    for given in bad:
        with pytest.raises(ValidationError) as caught:
            OpenAIServerSettings.model_validate(given)
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"), [(" A pear. \nmore", "A pear."), ("\n\nA pear.", "A pear."), ("", ""), (" \n ", "")]
)
def test_the_first_line_that_says_anything(text: str, line: str) -> None:
    assert first_line(text) == line
