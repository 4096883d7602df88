"""A planned bank on disk: it reads back as planned, and a folder is filled whole or not at all."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from synclr_assets.commands.concepts import command
from synclr_assets.concept_bank.bank import read_bank
from synclr_assets.concept_bank.init import folder as init_folder
from synclr_assets.concept_bank.init.custom import custom_bank
from synclr_assets.concept_bank.init.folder import FolderError, write_bank
from synclr_assets.concept_bank.init.paper import paper_bank


@pytest.fixture
def plan(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text('owl\n7\nno\nit\'s: a "test", #1 {x}\nGroßer Brachvogel\n', encoding="utf-8")
    plan = custom_bank(names, max_names_per_bucket=2)
    names.unlink()
    return plan


def test_the_papers_bank_reads_without_a_problem_and_as_planned(tmp_path):
    plan = paper_bank(60)
    write_bank(plan, tmp_path / "paper")
    bank = read_bank(tmp_path / "paper")
    assert bank.problems == ()
    assert dict(bank.buckets) == {bucket.name: bucket for bucket in plan.buckets}
    assert {
        name: tuple(sorted(members)) for name, members in plan.slices.items()
    }.items() <= bank.slices.items()
    assert {"imagenet1k", "imagenet21k", "cars", "places", "textures", "all"} <= set(bank.slices)


def test_the_same_plan_is_written_byte_by_byte_the_same(tmp_path):
    for name in ("one", "two"):
        write_bank(paper_bank(12, 1_000_000), tmp_path / name)
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}


def test_words_that_yaml_would_misread_survive(plan, tmp_path):
    write_bank(plan, tmp_path / "mine" / "concepts")
    bank = read_bank(tmp_path / "mine" / "concepts")
    assert bank.problems == ()
    names = [concept.name for bucket in bank.buckets.values() for concept in bucket.concepts]
    assert names == ["owl", "7", "no", 'it\'s: a "test", #1 {x}', "Großer Brachvogel"]


def test_an_empty_folder_is_taken_and_a_full_one_left_alone(plan, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    write_bank(plan, empty)
    with pytest.raises(FolderError, match=r"empty: the folder is not empty; name a new one, or empty it\.$"):
        write_bank(plan, empty)
    assert len(list(empty.iterdir())) == 4


def test_a_file_a_link_and_the_working_folder_are_refused(plan, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in (tmp_path / "file", tmp_path / "link", Path(".")):
        with pytest.raises(FolderError):
            write_bank(plan, name)


def test_a_failure_half_way_leaves_nothing_behind(plan, tmp_path, monkeypatch):
    texts = iter(["source: custom\n"])

    def full_disk(bucket):
        for text in texts:
            return text
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(init_folder, "bucket_file_text", full_disk)
    with pytest.raises(FolderError, match="No space left on device"):
        write_bank(plan, tmp_path / "concepts")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_and_says_what(tmp_path):
    out = tmp_path / "paper"
    arguments = ["init", "paper", "--buckets", "11", "--captions", "100000", "--out", str(out)]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == f"{out}: 11 buckets, 12415 concepts, 100000 captions a generation"
    checked = CliRunner().invoke(command, ["check", str(out)])
    assert checked.exit_code == 0


def test_the_command_refuses_a_bad_list_before_it_writes(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("owl\nowl\n")
    arguments = ["init", "custom", "--from", str(names), "--out", str(tmp_path / "mine")]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, ValueError)
    assert "line 2" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["names.txt"]
