"""Slices: unions of buckets in slices.yaml; a bad one costs only itself."""

import pytest

GOOD = "captions: 3\nconcepts: [dog]\n"
BUCKETS = {"digits.yaml": GOOD, "objects.yaml": GOOD, "broken.yaml": "captions: ["}
BY_THEMSELVES = {"all": ("digits", "objects"), "digits": ("digits",), "objects": ("objects",)}


def test_a_slice_lists_its_buckets_sorted(bank_of):
    bank = bank_of({**BUCKETS, "slices.yaml": "slices: {shapes: [objects, digits], figures: [digits]}"})
    assert bank.slices == {**BY_THEMSELVES, "shapes": ("digits", "objects"), "figures": ("digits",)}
    assert list(bank.slices) == sorted(bank.slices)
    assert "slices" not in bank.buckets


@pytest.mark.parametrize(
    ("slices", "fault"),
    [
        ("bad: [digts]", 'slices.bad[0]: there is no bucket "digts"; perhaps "digits" was meant.'),
        ("bad: [digits, zebra]", 'slices.bad[1]: there is no bucket "zebra"; use one of digits, objects.'),
        ("bad: [broken]", 'slices.bad[0]: the file of bucket "broken" was refused; mend that file first.'),
        ("bad: [fine]", 'slices.bad[0]: there is no bucket "fine"; use one of digits, objects.'),
        ("bad: [digits, digits]", 'slices.bad[1]: bucket "digits" is named twice; remove one of the two.'),
        (
            "bad: []",
            "slices.bad: is not a list of at least one bucket; write a list such as [digits, objects].",
        ),
        (
            "bad: digits",
            "slices.bad: is not a list of at least one bucket; write a list such as [digits, objects].",
        ),
        (
            "bad: [7]",
            "slices.bad[0]: is not the name of a bucket; "
            "write the name, in quotes if YAML reads it otherwise.",
        ),
        (
            "digits: [objects]",
            'slices.digits: "digits" is a bucket, and every bucket is a slice of itself; '
            "name the slice otherwise.",
        ),
        (
            "broken: [objects]",
            'slices.broken: "broken" is a bucket, and every bucket is a slice of itself; '
            "name the slice otherwise.",
        ),
        (
            "all: [digits]",
            'slices.all: the name "all" is the slice of every bucket; '
            'use lowercase letters, digits, - and _, such as "my-all".',
        ),
        (
            "Big/One: [digits]",
            'slices.Big/One: the name "Big/One" holds the capital "B"; '
            'use lowercase letters, digits, - and _, such as "big-one".',
        ),
    ],
)
def test_a_bad_slice_is_dropped_alone(bank_of, folder, slices, fault):
    bank = bank_of({**BUCKETS, "slices.yaml": f"slices: {{{slices}, fine: [digits]}}"})
    assert bank.slices == {**BY_THEMSELVES, "fine": ("digits",)}
    (sentence,) = [p.sentence for p in bank.problems if not p.file.endswith("broken.yaml")]
    assert sentence == f"{folder}/slices.yaml, {fault}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "slices.yaml: is empty; write slices: {shapes: [digits, objects]}."),
        ("slices:", "slices.yaml, slices: is not names with lists of buckets; "),
        ("slices: [digits]", "slices.yaml, slices: is not names with lists of buckets; "),
        ("shapes: [digits]", 'slices.yaml, shapes: "shapes" is no key of slices.yaml; '),
        ("slices: {a: [", "slices.yaml, line 2: broken YAML: "),
        (b"\xff", "slices.yaml: the byte 0xff at position 0 is not UTF-8; "),
    ],
)
def test_a_bad_slices_file_leaves_the_buckets(bank_of, text, fault):
    bank = bank_of({**BUCKETS, "slices.yaml": text})
    assert bank.slices == BY_THEMSELVES
    assert fault in bank.problems[-1].sentence


def test_two_slices_files_are_refused(bank_of):
    bank = bank_of({"digits.yaml": GOOD, "slices.yaml": "slices: {}", "slices.yml": "slices: {}"})
    assert 'slices.yml has the same name "slices"' in bank.problems[0].sentence
