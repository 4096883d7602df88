"""The schema of a bucket file: what each field means, and the sentence each mistake gets."""

import math

import pytest

from synclr_assets.concept_bank.bucket import SOURCES, TEMPLATES, Bucket, Concept, template_shares_of
from synclr_assets.synthesis import identity

HEAD = "captions: 10\n"


def bucket_from(bank_of, text, name="birds"):
    bank = bank_of({f"{name}.yaml": text})
    assert bank.problems == ()
    return bank.buckets[name]


def test_a_file_of_budget_and_concepts_is_enough(bank_of):
    bucket = bucket_from(bank_of, "captions: 1400\nconcepts:\n  - digit zero\n  - digit one\n", "digits")
    assert (bucket.name, bucket.description, bucket.source, bucket.num_captions) == (
        "digits",
        "",
        "custom",
        1400,
    )
    assert bucket.template_shares == {"c": 0.44, "c_rel": 0.11, "c_bg": 0.45}
    assert bucket.concepts == (
        Concept("digit zero", "digit zero", 1.0, ("c", "c_rel", "c_bg")),
        Concept("digit one", "digit one", 1.0, ("c", "c_rel", "c_bg")),
    )


def test_every_field_is_read(bank_of):
    text = """
        bucket: birds
        description: >
          Birds and
          cranes
        source: imagenet1k
        captions: 1_400
        templates: {c_bg: 3, c: 1}
        concepts:
          - {name: crane_bird, text: "crane (bird)", weight: 2.0, templates: [c_bg, c]}
          - {name: owl, templates: [c]}
    """
    bucket = bucket_from(bank_of, text)
    assert bucket.description == "Birds and cranes"
    assert bucket.source == "imagenet1k"
    assert bucket.num_captions == 1400
    assert bucket.template_shares == {"c": 0.25, "c_bg": 0.75}
    assert bucket.concepts == (
        Concept("crane_bird", "crane (bird)", 2.0, ("c", "c_bg")),
        Concept("owl", "owl", 1.0, ("c",)),
    )


def test_template_names_are_those_that_caption_ids_are_drawn_with():
    assert identity.TEMPLATES == TEMPLATES


@pytest.mark.parametrize("source", SOURCES)
def test_textures_and_places_are_captioned_plainly_and_objects_by_all_templates(bank_of, source):
    shares = bucket_from(bank_of, HEAD + f"source: {source}\nconcepts: [x]").template_shares
    plain = source in ("textures", "sun397", "places365")
    assert shares == ({"c": 1.0} if plain else {"c": 0.44, "c_rel": 0.11, "c_bg": 0.45})


def test_a_list_of_templates_takes_the_paper_s_shares_of_those_named(bank_of):
    shares = bucket_from(
        bank_of, HEAD + "source: textures\ntemplates: [c_rel, c]\nconcepts: [x]"
    ).template_shares
    assert shares == pytest.approx({"c": 0.8, "c_rel": 0.2})


def test_a_share_of_zero_removes_the_template(bank_of):
    bucket = bucket_from(bank_of, HEAD + "templates: {c: 1, c_rel: 0}\nconcepts: [x]")
    assert bucket.template_shares == {"c": 1.0}
    assert bucket.concepts[0].templates == ("c",)


def test_a_concept_draws_from_its_own_templates_only(bank_of):
    bucket = bucket_from(bank_of, HEAD + "concepts: [dog, {name: owl, templates: [c, c_bg]}]")
    dog, owl = bucket.concepts
    assert template_shares_of(bucket, dog) == pytest.approx({"c": 0.44, "c_rel": 0.11, "c_bg": 0.45})
    shares = template_shares_of(bucket, owl)
    assert list(shares) == ["c", "c_bg"]
    assert shares["c"] / shares["c_bg"] == pytest.approx(0.44 / 0.45)
    assert math.fsum(shares.values()) == pytest.approx(1.0)


def test_a_concept_made_by_hand_without_a_template_of_the_bucket_is_refused(bank_of):
    bucket = bucket_from(bank_of, HEAD + "templates: [c]\nconcepts: [dog]")
    with pytest.raises(ValueError, match="'owl' allows no template of bucket 'birds'"):
        template_shares_of(bucket, Concept("owl", "owl", 1.0, ("c_bg",)))


def test_words_of_any_script_and_emoji_are_concepts(bank_of):
    words = ["1e6", "café", "北極熊", "نیم‌فاصله", "👩‍🚀 astronaut", 'the "big" one', "yes", "7"]
    listed = "".join(f"  - '{word}'\n" for word in words)
    assert [c.text for c in bucket_from(bank_of, HEAD + f"concepts:\n{listed}").concepts] == words


def test_runs_of_blanks_and_unicode_forms_are_made_one(bank_of):
    bucket = bucket_from(bank_of, HEAD + "concepts: ['  cafe\u0301   au\u00a0lait ']")
    assert bucket.concepts[0].text == "café au lait"


def test_a_byte_order_mark_and_windows_line_ends_are_fine(bank_of):
    bank = bank_of({"birds.yaml": b"\xef\xbb\xbfcaptions: 10\r\nconcepts:\r\n- owl\r\n"})
    assert bank.buckets["birds"].concepts[0].name == "owl"


@pytest.mark.parametrize(
    ("written", "weight"),
    [("2", 2.0), ("0.5", 0.5), ("1e-3", 0.001), ("1.5e3", 1500.0), (".5", 0.5), ("1_000.5", 1000.5)],
)
def test_weights_are_decimal_numbers(bank_of, written, weight):
    assert (
        bucket_from(bank_of, HEAD + f"concepts: [{{name: x, weight: {written}}}]").concepts[0].weight
        == weight
    )


class TestFingerprint:
    TEXT = "captions: 10\nconcepts: [owl, {name: crane, text: crane (bird), weight: 2}]\n"

    def of(self, bank_of, text, name="birds"):
        bucket: Bucket = bucket_from(bank_of, text, name)
        assert len(bucket.fingerprint) == 32
        return bucket.fingerprint

    @pytest.mark.parametrize(
        "same",
        [
            "# note\nconcepts:\n- 'owl' # here\n- weight: 2.0\n  text:  crane (bird)\n  name: crane\n"
            "captions: 1_0\n",
            "bucket: birds\nsource: custom\n" + TEXT,
            "description: other words\n" + TEXT,
            "templates: {c_bg: 45, c: 44, c_rel: 11}\n" + TEXT,
            "templates: {c: 0.132, c_rel: 0.033, c_bg: 0.135}\n" + TEXT,
            "templates: [c, c_rel, c_bg]\n" + TEXT,
            TEXT.replace("owl", "{name: owl, text: owl, weight: 1, templates: [c_bg, c_rel, c]}"),
        ],
    )
    def test_ignores_formatting_comments_description_and_written_out_defaults(self, bank_of, same):
        assert self.of(bank_of, self.TEXT) == self.of(bank_of, same)

    @pytest.mark.parametrize(
        "other",
        [
            TEXT.replace("10", "11"),
            TEXT.replace("owl", "owls"),
            TEXT.replace("(bird)", "[bird]").replace("crane [bird]", "'crane [bird]'"),
            TEXT.replace("weight: 2", "weight: 2.5"),
            "captions: 10\nconcepts: [{name: crane, text: crane (bird), weight: 2}, owl]\n",
            "source: imagenet1k\n" + TEXT,
            "templates: [c]\n" + TEXT,
            TEXT.replace("owl", "{name: owl, templates: [c]}"),
        ],
    )
    def test_changes_with_what_decides_the_captions(self, bank_of, other):
        assert self.of(bank_of, self.TEXT) != self.of(bank_of, other)

    def test_changes_with_the_name_of_the_bucket(self, bank_of, folder):
        first = self.of(bank_of, self.TEXT)
        (folder / "birds.yaml").unlink()
        assert self.of(bank_of, self.TEXT, "fowl") != first

    def test_is_blind_to_the_folder(self, bank_of, folder):
        first = self.of(bank_of, self.TEXT)
        folder.rename(folder.with_name("elsewhere"))
        folder.mkdir()
        assert self.of(bank_of, self.TEXT) == first


def concept(text):
    return HEAD + f"concepts:\n  - first\n  - {text}\n"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        # The file as a whole
        ("", ": is empty; write captions: 100 and a list of concepts."),
        ("# only a note\n", ": is empty; write captions: 100 and a list of concepts."),
        (
            "- owl\n- crow\n",
            ": is a list at its top level, not keys with values; "
            "begin with captions: 100 and a list of concepts.",
        ),
        (
            "owl",
            ": is text at its top level, not keys with values; "
            "begin with captions: 100 and a list of concepts.",
        ),
        (
            HEAD + "concepts: [owl]\nconcpets: [crow]",
            ', concpets: "concpets" is no key of a bucket file; perhaps "concepts" was meant.',
        ),
        (
            HEAD + 'concepts: [owl]\n"a\\nb": 1',
            ', a\\nb: "a\\nb" is no key of a bucket file; '
            "use one of bucket, description, source, captions, templates, concepts.",
        ),
        # captions
        (
            "concepts: [owl]",
            ", captions: is missing; give the whole number of captions of one generation, such as 1400.",
        ),
        *(
            (
                f"captions: {written}\nconcepts: [owl]",
                f", captions: {shown}; give the whole number of captions of one generation, such as 1400.",
            )
            for written, shown in {
                "0": '"0" is not positive',
                "-5": '"-5" is not positive',
                "1.5": '"1.5" is not a whole number',
                "1e3": '"1e3" is not a whole number',
                "many": '"many" is not a whole number',
                "'14'": '"14" is not a whole number',
                "yes": '"yes" is not a whole number',
                ".nan": '".nan" is not a whole number',
                "010": '"010" is not a whole number',
                "1:30": '"1:30" is not a whole number',
                "": "nothing is not a whole number",
                "[14]": "a list is not a whole number",
            }.items()
        ),
        *(
            (
                f"captions: {written}\nconcepts: [owl]",
                f', captions: "{shown}" is out of range; give 1 to 1000000000.',
            )
            for written, shown in {"1000000001": "1000000001", "9" * 5000: "9" * 57 + "..."}.items()
        ),
        # source and description
        (
            HEAD + "source: imagenet\nconcepts: [owl]",
            ', source: "imagenet" is no known source; perhaps "imagenet1k" was meant.',
        ),
        (
            HEAD + "source: 3\nconcepts: [owl]",
            ", source: \"3\" is a number to YAML; quote it as '3'.",
        ),
        (
            HEAD + "description: [a]\nconcepts: [owl]",
            ", description: is a list, not text; write one line of text.",
        ),
        # templates
        (
            HEAD + "templates: {c: 1, bg: 1}\nconcepts: [owl]",
            ', templates: "bg" is no known template; use one of c, c_rel, c_bg.',
        ),
        (
            HEAD + "templates: [c, c_background]\nconcepts: [owl]",
            ', templates[1]: "c_background" is no known template; use one of c, c_rel, c_bg.',
        ),
        (
            HEAD + "templates: [c, c]\nconcepts: [owl]",
            ', templates[1]: "c" is named twice; remove one of the two.',
        ),
        (
            HEAD + "templates: []\nconcepts: [owl]",
            ", templates: names no template; name at least one of c, c_rel, c_bg.",
        ),
        (
            HEAD + "templates: c\nconcepts: [owl]",
            ', templates: "c" is neither shares nor a list; write {c: 0.44, c_rel: 0.11, c_bg: 0.45}.',
        ),
        *(
            (
                HEAD + f"templates: {written}\nconcepts: [owl]",
                ", templates: no template has a share above 0; write {c: 0.44, c_rel: 0.11, c_bg: 0.45}.",
            )
            for written in ("{}", "{c: 0}", "{c: 0.0, c_bg: 0}")
        ),
        *(
            (
                HEAD + f"templates: {{c: {written}, c_bg: 2}}\nconcepts: [owl]",
                f', templates.c: "{written}" {fault}.',
            )
            for written, fault in {
                "-0.1": "is not a share; give a number from 0 to 1",
                "1e300": "is not a share; give a number from 0 to 1",
                "half": "is not a number; give a positive share such as 0.5",
                "true": "is not a number; give a positive share such as 0.5",
                ".inf": "is not finite; give a positive share such as 0.5",
            }.items()
        ),
        # The list of concepts
        (HEAD, ', concepts: is missing; list at least one, such as "- digit zero".'),
        (
            HEAD + "concepts:",
            ', concepts: nothing is not a list; list at least one, such as "- digit zero".',
        ),
        (
            HEAD + "concepts: []",
            ', concepts: is an empty list; list at least one, such as "- digit zero".',
        ),
        (
            HEAD + "concepts: owl, crow",
            ', concepts: "owl, crow" is not a list; list at least one, such as "- digit zero".',
        ),
        (
            HEAD + "concepts: {owl: 1}",
            ', concepts: a mapping is not a list; list at least one, such as "- digit zero".',
        ),
        # One concept
        *(
            (
                concept(written),
                ", concepts[1]: is empty; give it a text or remove the line.",
            )
            for written in ("''", "'  '", "", "~", "# a note")
        ),
        *(
            (
                concept(written),
                f", concepts[1]: \"{written}\" is {kind} to YAML; quote it as '{written}'.",
            )
            for written, kind in {
                "no": "a true/false value",
                "Yes": "a true/false value",
                "on": "a true/false value",
                "7": "a number",
                "3.5": "a number",
                "0x10": "a number",
                "12:30": "a number",
                "2024-01-01": "a date",
            }.items()
        ),
        (
            concept("[owl]"),
            ", concepts[1]: is a list, not text; write one line of text.",
        ),
        (
            concept("sky: night"),
            ', concepts[1].sky: "sky" is no key of a concept; '
            "use one of name, text, weight, templates, or quote the whole text if the colon belongs to it.",
        ),
        (
            concept("{name: owl, wieght: 2}"),
            ', concepts[1].wieght: "wieght" is no key of a concept; '
            'perhaps "weight" was meant, or quote the whole text if the colon belongs to it.',
        ),
        (
            concept("{text: owl}"),
            ", concepts[1].name: is missing; give the concept a name.",
        ),
        (
            concept("{name: 7}"),
            ", concepts[1].name: \"7\" is a number to YAML; quote it as '7'.",
        ),
        (
            concept("{name: owl, text: no}"),
            ", concepts[1].text: \"no\" is a true/false value to YAML; quote it as 'no'.",
        ),
        (
            concept("x" * 201),
            f', concepts[1]: "{"x" * 57}..." has 201 characters; keep it within 200.',
        ),
        *(
            (
                concept(f'"owl{escape}crow"'),
                f", concepts[1]: {shown} holds {what}; write it on one line of visible characters.",
            )
            for escape, shown, what in (
                ("\\n", '"owl\\ncrow"', "a line break"),
                ("\\t", '"owl\\tcrow"', "the control character U+0009"),
                ("\\0", '"owl\\u0000crow"', "the control character U+0000"),
                ("\\e", '"owl\\u001bcrow"', "the control character U+001B"),
                ("\\u202e", '"owl\\u202ecrow"', "the control character U+202E"),
                ("\\u2028", '"owl\\u2028crow"', "the control character U+2028"),
            )
        ),
        (
            concept("first"),
            ', concepts[1]: "first" repeats the name of concepts[0]; remove one or tell the two apart.',
        ),
        (
            concept("' FIRST  '"),
            ', concepts[1]: "FIRST" repeats the name of concepts[0]; remove one or tell the two apart.',
        ),
        (
            concept("{name: other, text: First}"),
            ', concepts[1]: "First" repeats the text of concepts[0]; remove one or tell the two apart.',
        ),
        (
            concept("{name: first, text: other}"),
            ', concepts[1]: "first" repeats the name of concepts[0]; remove one or tell the two apart.',
        ),
        *(
            (
                concept(f"{{name: owl, weight: {written}}}"),
                f", concepts[1].weight: {fault}; give a positive number such as 1.0.",
            )
            for written, fault in {
                "heavy": '"heavy" is not a number',
                "'2'": '"2" is not a number',
                "true": '"true" is not a number',
                "": "nothing is not a number",
                "[1]": "a list is not a number",
                "0": '"0" is not positive',
                "0.0": '"0.0" is not positive',
                "1e-999": '"1e-999" is not positive',
                "-1": '"-1" is not positive',
                ".nan": '".nan" is not finite',
                ".inf": '".inf" is not finite',
                "-.inf": '"-.inf" is not finite',
                "1e999": '"1e999" is not finite',
                "0x10": '"0x10" is not a decimal number',
                "1:30": '"1:30" is not a decimal number',
            }.items()
        ),
        (
            concept("{name: owl, templates: []}"),
            ", concepts[1].templates: names no template; name at least one of c, c_rel, c_bg.",
        ),
        (
            concept("{name: owl, templates: c}"),
            ', concepts[1].templates: "c" is not a list of templates; write a list such as [c, c_bg].',
        ),
        (
            concept("{name: owl, templates: [c, rel]}"),
            ', concepts[1].templates[1]: "rel" is no known template; use one of c, c_rel, c_bg.',
        ),
        (
            "templates: [c]\n" + concept("{name: owl, templates: [c, c_bg]}"),
            ', concepts[1].templates: "c_bg" has no share in this bucket; '
            "remove it or give the bucket's templates c_bg.",
        ),
    ],
)
def test_a_mistake_gets_one_sentence(fault_of, text, rest):
    assert fault_of(text) == f"concepts/birds.yaml{rest}"


SLUG_RULE = "use lowercase letters, digits, - and _, such as"


BAD_NAMES = [
    ("a,b", 'the name "a,b" holds ","', "a-b"),
    ("a..b", 'the name "a..b" holds ".."', "a-b"),
    ("a b", 'the name "a b" holds a blank', "a-b"),
    ("Birds", 'the name "Birds" holds the capital "B"', "birds"),
    ("-birds", 'the name "-birds" begins with "-"', "birds"),
    ("vögel", 'the name "vögel" holds "ö"', "v-gel"),
    ("b" * 65, f'the name "{"b" * 57}..." has 65 characters, more than 64', "b" * 57 + "..."),
    ("all", 'the name "all" is the slice of every bucket', "my-all"),
]
NO_FILE_NAMES = [
    ("a/b", 'the name "a/b" holds "/"', "a-b"),
    ("..", 'the name ".." holds ".."', "my-concepts"),
    ("slices", 'the name "slices" belongs to slices.yaml', "my-slices"),
]


@pytest.mark.parametrize(("name", "fault", "better"), BAD_NAMES + NO_FILE_NAMES)
def test_a_bad_bucket_name_in_the_field(fault_of, name, fault, better):
    sentence = fault_of(f"bucket: '{name}'\n" + concept("owl"))
    assert sentence == f'concepts/birds.yaml, bucket: {fault}; {SLUG_RULE} "{better}".'


@pytest.mark.parametrize(("name", "fault", "better"), BAD_NAMES)
def test_a_bad_bucket_name_as_the_file(fault_of, name, fault, better):
    sentence = fault_of(concept("owl"), f"{name}.yaml")
    assert sentence == f'concepts/{name}.yaml, file name: {fault}; {SLUG_RULE} "{better}".'


def test_a_bucket_name_of_64_characters_is_fine(bank_of):
    assert bucket_from(bank_of, concept("owl"), "b" * 64).name == "b" * 64


def test_a_bucket_is_named_like_its_file(fault_of):
    assert fault_of("bucket: fowl\n" + concept("owl")) == (
        'concepts/birds.yaml, bucket: "fowl" is not the file\'s name "birds"; '
        "rename the file to fowl.yaml or write bucket: birds."
    )


def test_an_empty_bucket_name_is_refused(fault_of):
    assert "bucket: is empty" in fault_of("bucket: ''\n" + concept("owl"))
