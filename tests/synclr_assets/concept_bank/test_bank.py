"""A folder of bucket files: what is read, what is left alone, and what of the folder itself is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synclr_assets.concept_bank.bank import MAX_FILE_BYTES, MAX_PROBLEMS_PER_FILE, concept_folder, read_bank

GOOD = "captions: 3\nconcepts: [dog]\n"


def test_an_empty_bank_still_has_the_slice_of_everything(folder):
    bank = read_bank(folder)
    assert bank.buckets == {}
    assert bank.slices == {"all": ()}
    assert bank.problems[0].sentence == f"{folder}: holds no bucket file; add one such as digits.yaml."


def test_buckets_come_sorted_and_each_is_a_slice_of_itself(bank_of):
    bank = bank_of({"zebras.yaml": GOOD, "ants.yml": GOOD, "mid-1_x.YAML": GOOD})
    assert list(bank.buckets) == ["ants", "mid-1_x", "zebras"]
    assert bank.slices == {
        "all": ("ants", "mid-1_x", "zebras"),
        "ants": ("ants",),
        "mid-1_x": ("mid-1_x",),
        "zebras": ("zebras",),
    }
    assert bank.problems == ()


def test_other_files_hidden_files_and_folders_are_left_alone(bank_of, folder):
    (folder / "old").mkdir()
    bank = bank_of(
        {"dogs.yaml": GOOD, "README.md": "# [", "list.txt": "x", ".dogs.yaml": "[", "dogs.yaml~": "["}
    )
    assert list(bank.buckets) == ["dogs"]
    assert bank.problems == ()


def test_a_bucket_knows_its_file(bank_of, folder):
    assert bank_of({"dogs.yaml": GOOD}).buckets["dogs"].path == folder / "dogs.yaml"


def test_a_missing_folder_is_a_problem(tmp_path):
    bank = read_bank(tmp_path / "nowhere")
    assert bank.slices == {"all": ()}
    assert bank.problems[0].sentence == (
        f"{tmp_path}/nowhere: there is no such folder; "
        "make a folder of bucket files there or name another one by SYNCLR_CONCEPTS."
    )


def test_a_file_in_place_of_the_folder_is_a_problem(tmp_path):
    (tmp_path / "concepts").write_text(GOOD)
    assert read_bank(tmp_path / "concepts").problems[0].message == "is not a folder"


def test_an_unreadable_folder_is_a_problem(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    assert read_bank(folder).problems[0].message == "cannot be read (Permission denied)"


def test_an_unreadable_file_costs_only_itself(fault_of, monkeypatch):
    read_bytes = Path.read_bytes

    def refuse_birds(path):
        if path.stem == "birds":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse_birds)
    expected = "concepts/birds.yaml: cannot be read (Permission denied); make it readable or remove it."
    assert fault_of(GOOD) == expected


def test_a_folder_named_like_a_bucket_file_is_refused(folder):
    (folder / "fish.yaml").mkdir()
    bank = read_bank(folder)
    assert bank.problems[0].sentence == (
        f"{folder}/fish.yaml: is a folder; put a YAML file in its place or name it otherwise."
    )


def test_a_pipe_named_like_a_bucket_file_does_not_hang(folder):
    os.mkfifo(folder / "fish.yaml")
    assert read_bank(folder).problems[0].message == "is no ordinary file"


def test_a_link_that_leaves_the_folder_is_refused(bank_of, folder, tmp_path):
    (tmp_path / "secret.yaml").write_text(GOOD)
    (folder / "birds.yaml").symlink_to(tmp_path / "secret.yaml")
    bank = bank_of({"dogs.yaml": GOOD})
    assert list(bank.buckets) == ["dogs"]
    assert bank.problems[0].sentence == (
        f"{folder}/birds.yaml: is a link that leaves the folder; copy the file into the folder."
    )


def test_a_link_into_a_sibling_folder_of_like_name_is_refused(folder, tmp_path):
    (tmp_path / "concepts-old").mkdir()
    (tmp_path / "concepts-old" / "birds.yaml").write_text(GOOD)
    (folder / "birds.yaml").symlink_to("../concepts-old/birds.yaml")
    assert read_bank(folder).problems[0].message == "is a link that leaves the folder"


def test_links_inside_the_folder_are_followed_as_mounted_config_maps_need(folder):
    (folder / "..data").mkdir()
    (folder / "..data" / "birds.yaml").write_text(GOOD)
    (folder / "birds.yaml").symlink_to("..data/birds.yaml")
    bank = read_bank(folder)
    assert list(bank.buckets) == ["birds"]
    assert bank.problems == ()


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (folder / "birds.yaml").write_text(GOOD)
    (folder / "crows.yaml").symlink_to("birds.yaml")
    (tmp_path / "link").symlink_to(folder)
    assert list(read_bank(tmp_path / "link").buckets) == ["birds", "crows"]


@pytest.mark.parametrize("target", ["gone.yaml", "birds.yaml"])
def test_a_link_to_nothing_or_to_itself_is_refused(folder, target):
    (folder / "birds.yaml").symlink_to(target)
    assert "cannot be read (" in read_bank(folder).problems[0].message


def test_two_files_of_one_name_are_both_refused(bank_of, folder):
    bank = bank_of({"birds.yaml": GOOD, "birds.yml": GOOD, "dogs.yaml": GOOD})
    assert list(bank.buckets) == ["dogs"]
    assert [problem.sentence for problem in bank.problems] == [
        f'{folder}/birds.yaml, file name: birds.yml has the same name "birds"; keep one of them.'
    ]


def test_an_oversized_file_is_refused_unread(fault_of):
    fault = fault_of("#" * (MAX_FILE_BYTES + 1))
    assert f"concepts/birds.yaml: has {MAX_FILE_BYTES + 1} bytes, more than {MAX_FILE_BYTES}" in fault


def test_all_faults_of_a_file_are_told_at_once(bank_of):
    bank = bank_of({"birds.yaml": "captions: 0\nsource: web\nconcepts: [no, '']\n"})
    assert [problem.field for problem in bank.problems] == [
        "source",
        "captions",
        "concepts[0]",
        "concepts[1]",
    ]


def test_a_file_of_endless_faults_is_cut_short(bank_of):
    bank = bank_of({"birds.yaml": "captions: 9\nconcepts:\n" + "  - no\n" * 500})
    assert len(bank.problems) == MAX_PROBLEMS_PER_FILE + 1
    assert bank.problems[-1].message == f"{500 - MAX_PROBLEMS_PER_FILE} more problems are not shown"


def test_a_file_name_of_strange_bytes_stays_one_line(folder):
    Path(os.fsdecode(os.fsencode(folder) + b"/a\n\xff.yaml")).write_text(GOOD)
    (problem,) = read_bank(folder).problems
    assert problem.sentence.isprintable()
    assert "file name" in problem.sentence


def test_the_folder_is_named_by_the_environment_else_concepts():
    assert concept_folder({}) == Path("concepts")
    assert concept_folder({"SYNCLR_CONCEPTS": ""}) == Path("concepts")
    assert concept_folder({"SYNCLR_CONCEPTS": "/data/bank"}) == Path("/data/bank")


def test_importing_the_bank_loads_nothing_heavy():
    program = (
        "import sys, synclr_assets.concept_bank.bank, synclr_assets.concept_bank.cli; "
        "print([m for m in ('torch', 'timm', 'dagster', 'deltalake', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
