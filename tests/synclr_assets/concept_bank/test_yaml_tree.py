"""What YAML itself may not do in a bank: break, repeat keys, expand, nest, make objects, be other bytes."""

import time

import pytest

CAPTIONS = "captions: 10\n"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (
            "captions: 10\nconcepts: [owl\n",
            ", line 3: broken YAML: did not find expected ',' or ']'; "
            "mend the indentation, colons or quotes there.",
        ),
        (
            "captions: 10\nconcepts:\n\t- owl\n",
            ", line 3: broken YAML: found character that cannot start any token; "
            "mend the indentation, colons or quotes there.",
        ),
        (
            "captions: 10\nconcepts: [owl]\ncaptions: 20\n",
            ', line 3: key "captions" is given twice; keep one of the two.',
        ),
        (
            "captions: 10\nconcepts:\n- name: owl\n  weight: 1\n  name: crow\n",
            ', line 5: key "name" is given twice; keep one of the two.',
        ),
        (
            "captions: 10\n---\ncaptions: 20\n",
            ", line 2: a second YAML document begins; keep one document per file.",
        ),
        (
            "captions: 10\nconcepts: [*owl]\n",
            ", line 2: broken YAML: found undefined alias; mend the indentation, colons or quotes there.",
        ),
        (
            "captions: 10\nconcepts: [&owl owl, *owl]\n",
            ", line 2: a YAML alias repeats this part; write it out instead of using & and *.",
        ),
        (
            "captions: 10\nconcepts: &loop [*loop]\n",
            ", line 2: a YAML alias repeats this part; write it out instead of using & and *.",
        ),
        (
            "captions: 10\nconcepts:\n- !!python/object/apply:os.system [exit]\n",
            ', line 3: the YAML tag "!!python/object/apply:os.system" is refused; remove the tag.',
        ),
        (
            "captions: 10\nconcepts: !!set {owl}\n",
            ', line 2: the YAML tag "!!set" is refused; remove the tag.',
        ),
        (
            "captions: 10\nconcepts: [!bird owl]\n",
            ', line 2: the YAML tag "!bird" is refused; remove the tag.',
        ),
        (
            "captions: 10\n? [a]\n: b\n",
            ", line 2: a key is itself a list or mapping; use a plain word as the key.",
        ),
        (
            "captions: 10\nconcepts: [ow\x07l]\n",
            ", line 2: the control character U+0007 is not allowed in YAML; delete it.",
        ),
        (
            b"captions: 10\nconcepts: [caf\xe9]\n",
            ": the byte 0xe9 at position 27 is not UTF-8; save the file as UTF-8.",
        ),
        (
            "captions: 10\n".encode("utf-16"),
            ": the byte 0xff at position 0 is not UTF-8; save the file as UTF-8.",
        ),
    ],
)
def test_a_mistake_gets_one_sentence(fault_of, text, rest):
    assert fault_of(text) == f"concepts/birds.yaml{rest}"


def test_a_bomb_of_aliases_is_refused_at_once(fault_of):
    layers = ["a0: &a0 [owl, owl]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    start = time.perf_counter()
    assert "a YAML alias repeats this part" in fault_of("\n".join(layers))
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? "])
def test_nesting_that_would_overflow_the_parser_is_refused(fault_of, opening):
    assert fault_of(opening * 100_000) == (
        "concepts/birds.yaml: is nested deeper than 16 levels; flatten it to the documented keys."
    )
