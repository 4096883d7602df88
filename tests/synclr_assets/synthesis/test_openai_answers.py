"""What a server says is judged once: delivered, try again, or one sentence for the user."""

import json
from email.utils import formatdate
from time import time

import pytest

from synclr_assets.synthesis.openai_answers import (
    ApiError,
    ApiKeyError,
    TryAgain,
    UnknownModelError,
    answer_of,
    redacted,
    retry_after_seconds,
)
from synclr_assets.synthesis.openai_settings import OpenAIServerSettings
from synclr_assets.synthesis.purchases import Delivery

SETTINGS = OpenAIServerSettings(
    base_url="https://api.example.com/v1",
    model="writer-1",
    usd_per_million_prompt_tokens=2.0,
    usd_per_million_completion_tokens=8.0,
)


def error_body(message: str, code: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "code": code}})


def chat_body(**message: object) -> str:
    usage = {"prompt_tokens": 1000, "completion_tokens": 500}
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def test_a_whole_completion_is_a_delivery_with_its_price() -> None:
    delivery = answer_of(SETTINGS, 200, {}, chat_body(content="a caption"))
    assert delivery == Delivery("a caption", False, "writer-1", 1000, 500, pytest.approx(0.006))
    batched = answer_of(SETTINGS, 200, {}, chat_body(content="a caption"), batched=True)
    assert isinstance(batched, Delivery)
    assert batched.usd == pytest.approx(0.003)


def test_a_refusal_was_paid_for() -> None:
    delivery = answer_of(SETTINGS, 200, {}, chat_body(content=None, refusal="I cannot."))
    assert isinstance(delivery, Delivery)
    assert (delivery.refused, delivery.text, delivery.completion_tokens) == (True, "I cannot.", 500)
    filtered = answer_of(SETTINGS, 400, {}, error_body("filtered", "content_filter"))
    assert isinstance(filtered, Delivery)
    assert (filtered.refused, filtered.usd) == (True, 0.0)


@pytest.mark.parametrize(
    "text", ["", '{"choices": [', "{}", '{"choices": []}', "[]", "<html>busy</html>", "null"]
)
def test_a_body_that_is_no_completion_may_be_asked_for_again(text: str) -> None:
    assert isinstance(answer_of(SETTINGS, 200, {}, text), TryAgain)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_push_backs_may_be_tried_again(status: int) -> None:
    answer = answer_of(SETTINGS, status, {"Retry-After": "7"}, error_body("slow down"))
    assert answer == TryAgain(f"answered {status}: slow down", 7.0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, error_body("The model `writer-1` has been deprecated", "model_not_found")),
        (404, error_body("The model 'writer-1' does not exist")),
        (400, error_body("writer-1 is not a valid model ID", "invalid_model")),
        (410, error_body("This model was shut down in October")),
        (404, json.dumps({"detail": "model writer-1 not found"})),
    ],
)
def test_a_retired_model_is_one_sentence(status: int, body: str) -> None:
    answer = answer_of(SETTINGS, status, {}, body)
    assert isinstance(answer, UnknownModelError)
    assert str(answer) == (
        f"Model 'writer-1' is not offered by https://api.example.com/v1 ({status}): it was retired or is "
        "misspelt, so set `model` to one the server lists."
    )


def test_other_refusals_name_their_mend() -> None:
    refused_key = answer_of(SETTINGS, 401, {}, error_body("Incorrect API key"))
    assert isinstance(refused_key, ApiKeyError)
    assert "The key in OPENAI_API_KEY is refused" in str(refused_key)
    no_money = answer_of(SETTINGS, 429, {}, error_body("You exceeded", "insufficient_quota"))
    assert isinstance(no_money, ApiError)
    assert "has no quota left" in str(no_money)
    too_long = answer_of(SETTINGS, 400, {}, error_body("max_tokens is too large for this model."))
    assert isinstance(too_long, ApiError)
    assert not isinstance(too_long, UnknownModelError)
    assert "max_tokens is too large for this model; change its settings." in str(too_long)


def test_retry_after_is_read_in_all_its_forms() -> None:
    assert retry_after_seconds({"retry-after": "1.5"}) == 1.5
    assert retry_after_seconds({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after_seconds({"Retry-After": formatdate(time() + 60, usegmt=True)}) == pytest.approx(
        60, abs=2
    )
    assert retry_after_seconds({"Retry-After": "-3"}) == 0.0
    assert retry_after_seconds({"Retry-After": "soon"}) is None
    assert retry_after_seconds({}) is None


def test_a_key_is_taken_out_and_a_stand_in_is_not() -> None:
    assert redacted("bad key sk-123456789 given", "sk-123456789") == "bad key [key] given"
    assert redacted("an EMPTY bowl", "EMPTY") == "an EMPTY bowl"
