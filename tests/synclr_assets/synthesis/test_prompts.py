"""Few-shot prompts: three examples drawn per caption, an open query, and a set that a user may replace."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from synclr_assets.synthesis.prompts import PromptSet, PromptSetError, load_prompt_set
from synclr_assets.synthesis.protocols import CaptionRequest
from synclr_assets.synthesis.vocabulary import RELATIONS

MINIMAL: dict[str, Any] = {
    "version": "9",
    "headers": {"c": "Describe.", "c_bg": "Describe in place.", "c_rel": "Describe in relation."},
    "relations": ["beside"],
    "examples": {
        "c": ["owl => An owl sleeps.", "fox => A fox runs.", "key => A rusty key."],
        "c_bg": [
            "owl, barn => An owl in a barn.",
            "fox, snow => A fox in snow.",
            "key, desk => A key on a desk.",
        ],
        "c_rel": [
            "owl, beside => An owl beside a post.",
            "fox, beside => A fox beside a hen.",
            "key, beside => A key beside a lock.",
        ],
    },
}


def request_of(
    prompts: PromptSet, caption: str = "ab", template: str = "c", attempt: int = 0
) -> CaptionRequest:
    relation, background = (
        ("beside" if template == "c_rel" else None),
        ("a shed" if template == "c_bg" else None),
    )
    return prompts.request(
        caption_id=caption,
        concept="tuba",
        template=template,
        relation=relation,
        background=background,
        attempt=attempt,
    )


def written(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_the_shipped_set_is_as_large_as_the_papers() -> None:
    prompts = load_prompt_set()
    assert len(prompts.examples["c"]) >= 106
    assert len(prompts.examples["c_bg"]) >= 50
    assert len(prompts.examples["c_rel"]) >= 20
    assert len(prompts.relations) == 10


def test_every_relation_of_the_shipped_set_can_be_painted_and_is_shown_solved() -> None:
    prompts = load_prompt_set()
    assert set(prompts.relations) == set(RELATIONS)
    solved = {line.partition(" => ")[0].rpartition(", ")[2] for line in prompts.examples["c_rel"]}
    assert solved == set(prompts.relations)


@pytest.mark.parametrize(
    ("template", "query"), [("c", "tuba"), ("c_rel", "tuba, beside"), ("c_bg", "tuba, a shed")]
)
def test_a_prompt_is_header_three_examples_and_an_open_query(template: str, query: str) -> None:
    prompts = load_prompt_set()
    header, *shots, last = request_of(prompts, template=template).prompt.split("\n")
    assert header == prompts.headers[template]
    assert len(set(shots)) == 3
    assert set(shots) <= set(prompts.examples[template])
    assert last == f"{query} =>"


def test_examples_are_drawn_anew_for_every_caption_and_attempt() -> None:
    prompts = load_prompt_set()
    assert request_of(prompts) == request_of(prompts)
    rendered = {request_of(prompts, caption=str(n)).prompt for n in range(50)}
    rendered |= {request_of(prompts, attempt=n).prompt for n in range(1, 20)}
    assert len(rendered) == 69


def test_a_users_set_is_read_and_any_changed_word_changes_the_fingerprint(tmp_path: Path) -> None:
    first = load_prompt_set(written(tmp_path / "a.yaml", MINIMAL))
    assert first.version == "9"
    same = load_prompt_set(written(tmp_path / "b.yaml", MINIMAL))
    assert same.fingerprint == first.fingerprint
    reworded = MINIMAL | {"headers": MINIMAL["headers"] | {"c": "Say what you see."}}
    assert load_prompt_set(written(tmp_path / "c.yaml", reworded)).fingerprint != first.fingerprint
    raised = load_prompt_set(written(tmp_path / "d.yaml", MINIMAL | {"version": "10"}))
    assert raised.fingerprint != first.fingerprint


def with_examples(template: str, *lines: str) -> dict[str, Any]:
    return MINIMAL | {"examples": MINIMAL["examples"] | {template: [*MINIMAL["examples"][template], *lines]}}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"version": "1"}, "exactly the keys"),
        (MINIMAL | {"headers": {"c": "x"}}, "`headers` needs one entry"),
        (MINIMAL | {"relations": []}, "`relations` needs at least 1"),
        (MINIMAL | {"relations": "beside"}, "must be a list"),
        (with_examples("c", "an owl without its caption"), "must read `query => caption`"),
        (with_examples("c", "tuba => A trumpet."), "does not mention its concept"),
        (with_examples("c_rel", "tuba, inside => A tuba inside a box."), "needs a listed relation"),
        (with_examples("c_bg", "tuba, shed => A tuba in a hall."), "does not mention its background"),
        (with_examples("c", "owl => An owl sleeps."), "different lines"),
    ],
)
def test_a_faulty_set_gets_one_sentence_that_names_the_file(
    tmp_path: Path, content: object, says: str
) -> None:
    path = written(tmp_path / "mine.yaml", content)
    with pytest.raises(PromptSetError, match=r"mine\.yaml") as raised:
        load_prompt_set(path)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_unreadable_prompt_sets_are_named(tmp_path: Path) -> None:
    broken, latin = tmp_path / "broken.yaml", tmp_path / "latin.yaml"
    broken.write_text("headers: [", encoding="utf-8")
    latin.write_bytes("version: café".encode("latin-1"))
    for path in (broken, latin, tmp_path / "absent.yaml"):
        with pytest.raises(PromptSetError, match=path.name) as raised:
            load_prompt_set(path)
        assert "\n" not in str(raised.value)
