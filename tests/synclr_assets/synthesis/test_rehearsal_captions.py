"""The grammar captioner says what it is asked, in varied sentences, as a function of the request alone."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_assets.synthesis.caption_checks import check_caption, mentions
from synclr_assets.synthesis.captioners import CaptionerSettings, make_captioner
from synclr_assets.synthesis.identity import caption_id, draw, template_of
from synclr_assets.synthesis.prompts import load_prompt_set
from synclr_assets.synthesis.protocols import CaptionRequest
from synclr_assets.synthesis.rehearsal_backgrounds import RehearsalBackgrounds
from synclr_assets.synthesis.rehearsal_captions import indefinite, write_caption
from synclr_assets.synthesis.vocabulary import DIGITS, OBJECTS, TEXTURES

SHARES = {"c": 0.44, "c_rel": 0.11, "c_bg": 0.45}


def corpus(concept: str, count: int, shares: dict[str, float]) -> list[CaptionRequest]:
    """Requests as the captions stage makes them."""
    prompts, backgrounds = load_prompt_set(), RehearsalBackgrounds().write(concept, "custom", 100)
    requests = []
    for ordinal in range(count):
        template = template_of("test", 0, concept, ordinal, shares)
        identity = caption_id("test", 0, concept, template, ordinal)
        requests.append(
            prompts.request(
                caption_id=identity,
                concept=concept,
                template=template,
                relation=draw("rel", identity, choices=prompts.relations) if template == "c_rel" else None,
                background=draw("bg", identity, choices=backgrounds) if template == "c_bg" else None,
                attempt=0,
            )
        )
    return requests


BUCKETS = [
    ([f"digit {name}" for name in DIGITS], SHARES),
    (list(OBJECTS), SHARES),
    ([f"{name} texture" for name in TEXTURES], {"c": 1.0}),
    (["golden retriever", "scissors", "the Eiffel Tower", "x-ray", "orange"], SHARES),
]


@pytest.mark.parametrize(("concepts", "shares"), BUCKETS)
def test_captions_of_a_bucket_pass_every_check_and_hardly_repeat(
    concepts: list[str], shares: dict[str, float]
) -> None:
    requests = [request for concept in concepts for request in corpus(concept, 140, shares)]
    texts = [completion.text for completion in make_captioner(CaptionerSettings()).complete(requests)]
    refused = [
        (text, check_caption(text, r))
        for text, r in zip(texts, requests, strict=True)
        if check_caption(text, r)
    ]
    assert refused == []
    assert len(set(texts)) >= 0.98 * len(texts)


@pytest.mark.parametrize(("concepts", "shares"), BUCKETS)
def test_a_caption_says_its_background_or_relation(concepts: list[str], shares: dict[str, float]) -> None:
    for concept in concepts:
        for request in corpus(concept, 40, shares):
            text = write_caption(request)
            assert request.background is None or request.background in text
            assert request.relation is None or f" {request.relation} a" in text
            assert text[0].isupper() or not text[0].isalpha()
            assert text.endswith(".")
            assert ",," not in text and "  " not in text and " ," not in text  # noqa: PT018


def test_a_text_depends_on_nothing_but_its_request() -> None:
    captioner = make_captioner(CaptionerSettings())
    requests = corpus("digit four", 64, SHARES)
    together = captioner.complete(requests)
    assert [captioner.complete([request])[0] for request in requests] == together
    assert captioner.complete(requests[::-1]) == together[::-1]


def test_the_next_attempt_says_something_else() -> None:
    requests = corpus("mug", 40, SHARES)
    redrawn = [write_caption(replace(request, attempt=1)) for request in requests]
    assert sum(write_caption(r) != text for r, text in zip(requests, redrawn, strict=True)) >= 38


@settings(max_examples=80)
@given(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20), st.integers(0, 5))
def test_any_concept_gets_a_caption_that_mentions_it(concept: str, attempt: int) -> None:
    request = CaptionRequest("ab", concept, "c_rel", "beside", None, attempt, "Describe.\nx =>")
    assert mentions(write_caption(request), concept)


def test_tokens_count_the_words_read_and_written() -> None:
    request = corpus("apple", 1, {"c": 1.0})[0]
    completion = make_captioner(CaptionerSettings()).complete([request])[0]
    assert completion.prompt_tokens == len(request.prompt.split())
    assert completion.completion_tokens == len(completion.text.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [("apple", "an apple"), ("mug", "a mug"), ("unicycle", "a unicycle"), ("hourglass", "an hourglass"),
     ("one-eyed cat", "a one-eyed cat"), ("umbrella", "an umbrella")],
)  # fmt: skip
def test_indefinite(words: str, expected: str) -> None:
    assert indefinite(words) == expected
