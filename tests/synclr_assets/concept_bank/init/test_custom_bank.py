"""`synclr concepts init custom`: a list of names becomes buckets, or every fault of it is named."""

import pytest

from synclr_assets.concept_bank.init.custom import CustomBankError, NamesFileError, custom_bank


@pytest.fixture
def names_file(tmp_path):
    def write(content: str | bytes, name: str = "birds.txt"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def faults_of(path):
    with pytest.raises(NamesFileError) as refusal:
        custom_bank(path)
    sentences = str(refusal.value).split("\n")
    assert sentences == [problem.sentence for problem in refusal.value.problems]
    return [sentence.replace(f"{path}, ", "") for sentence in sentences]


def test_names_are_taken_line_by_line_without_comments_and_blank_lines(names_file):
    plan = custom_bank(names_file("\ufeff# birds\nowl\r\n\n  barn   owl \n# end\nGroßer Brachvogel\n7\nno"))
    (bucket,) = plan.buckets
    assert [concept.name for concept in bucket.concepts] == [
        "owl",
        "barn owl",
        "Großer Brachvogel",
        "7",
        "no",
    ]
    assert (bucket.name, bucket.source, bucket.num_captions) == ("birds", "custom", 500)
    assert dict(bucket.template_shares) == {"c": 0.44, "c_rel": 0.11, "c_bg": 0.45}
    assert plan.slices == {}


def test_many_names_are_split_and_the_slice_has_the_name_of_all(names_file):
    path = names_file("\n".join(f"bird {index}" for index in range(25)))
    plan = custom_bank(path, bucket="fowl", num_captions=101, max_names_per_bucket=10)
    assert [bucket.name for bucket in plan.buckets] == ["fowl-1", "fowl-2", "fowl-3"]
    assert [len(bucket.concepts) for bucket in plan.buckets] == [10, 10, 5]
    assert [bucket.num_captions for bucket in plan.buckets] == [41, 40, 20]
    assert plan.slices == {"fowl": ("fowl-1", "fowl-2", "fowl-3")}


def test_every_fault_is_listed_with_its_line(names_file):
    path = names_file("owl\n# robin\nOWL\nbad\x07name\n\uff4fwl\n" + "x" * 201)
    assert faults_of(path) == [
        'line 3: "OWL" repeats line 1; remove one of the two.',
        'line 4: "bad\\u0007name" holds the control character U+0007; '
        "write it on one line of visible characters.",
        'line 5: "\uff4fwl" repeats line 1; remove one of the two.',
        f'line 6: "{"x" * 57}..." has 201 characters; keep it within 200.',
    ]


def test_a_file_that_is_no_list_of_names_is_one_sentence(names_file, tmp_path):
    (fault,) = faults_of(names_file(b"owl\nrob\xffin\n"))
    assert fault == "line 2: the byte 0xff is not UTF-8; save the file as UTF-8."
    assert faults_of(names_file("# nothing\n\n"))[0].endswith(
        ": holds no name; write one name per line, such as owl."
    )
    assert ": there is no such file; " in faults_of(tmp_path / "gone.txt")[0]
    assert ": is no ordinary file; " in faults_of(tmp_path)[0]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"bucket": "My Birds"}, r'^--bucket: the name "My Birds" .*"my-birds"\.$'),
        ({"bucket": "all"}, r'^--bucket: the name "all" is the slice of every bucket; '),
        (
            {"num_captions": 1, "max_names_per_bucket": 1},
            r"^--captions 1: there are 2 buckets, ",
        ),
        (
            {"num_captions": 3_000_000_000},
            r"^--captions: a bucket would get 3000000000, more than ",
        ),
        ({"bucket": "b" * 64, "max_names_per_bucket": 1}, r"^--bucket: .* has 66 characters, more than 64; "),
    ],
)
def test_arguments_that_do_not_fit_get_one_sentence(names_file, arguments, fault):
    with pytest.raises(CustomBankError, match=fault):
        custom_bank(names_file("owl\nrobin\n"), **arguments)


def test_a_file_name_that_is_no_slug_gives_the_nearest(names_file):
    assert custom_bank(names_file("owl", "My Birds.txt")).buckets[0].name == "my-birds"
