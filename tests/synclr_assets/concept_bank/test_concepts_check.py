"""`synclr concepts check`: a table of what is good, a sentence for what is not, an exit code for scripts."""

import json

import pytest
from click.testing import CliRunner

from synclr_assets.concept_bank.cli import check

DIGITS = "captions: 1400\nconcepts: [digit zero, digit one]\n"
SLICES = "slices: {shapes: [digits]}\n"


@pytest.fixture
def run_check(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCLR_CONCEPTS", raising=False)
    return lambda *arguments, **env: CliRunner().invoke(check, arguments, env=env)


def test_a_good_folder_is_shown_and_exits_0(run_check, folder):
    (folder / "digits.yaml").write_text(DIGITS)
    (folder / "slices.yaml").write_text(SLICES)
    result = run_check()
    assert result.exit_code == 0
    (row,) = [line for line in result.output.splitlines() if "│ digits" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "digits",
        "2",
        "1400",
        "custom",
        "all, digits, shapes",
    ]


def test_problems_follow_the_table_one_sentence_each_and_exit_1(run_check, folder):
    (folder / "digits.yaml").write_text(DIGITS)
    (folder / "birds.yaml").write_text("captions: 0\nconcepts: [{name: owl, weight: heavy}]\n")
    result = run_check()
    assert result.exit_code == 1
    assert "│ digits" in result.output
    assert result.output.splitlines()[-2:] == [
        'concepts/birds.yaml, captions: "0" is not positive; '
        "give the whole number of captions of one generation, such as 1400.",
        'concepts/birds.yaml, concepts[0].weight: "heavy" is not a number; '
        "give a positive number such as 1.0.",
    ]


def test_the_folder_is_the_argument_else_the_environment_else_concepts(run_check, folder, tmp_path):
    for name in ("by_argument", "by_environment"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.yaml").write_text(DIGITS)
    (folder / "by_default.yaml").write_text(DIGITS)

    def bucket_read(*arguments, **env):
        return json.loads(run_check(*arguments, "--json", **env).output)["buckets"][0]["name"]

    assert bucket_read() == "by_default"
    assert bucket_read(SYNCLR_CONCEPTS="by_environment") == "by_environment"
    assert bucket_read("by_argument", SYNCLR_CONCEPTS="by_environment") == "by_argument"


def test_json_holds_buckets_slices_and_problems(run_check, folder):
    (folder / "digits.yaml").write_text(DIGITS)
    (folder / "slices.yaml").write_text("slices: {shapes: [digits], gone: [birds]}")
    result = run_check("--json")
    assert result.exit_code == 1
    summary = json.loads(result.output)
    (bucket,) = summary["buckets"]
    assert len(bucket.pop("fingerprint")) == 32
    assert bucket == {
        "name": "digits",
        "num_concepts": 2,
        "num_captions": 1400,
        "source": "custom",
        "template_shares": {"c": 0.44, "c_rel": 0.11, "c_bg": 0.45},
        "slices": ["all", "digits", "shapes"],
    }
    assert summary["slices"] == {"all": ["digits"], "digits": ["digits"], "shapes": ["digits"]}
    assert [problem["field"] for problem in summary["problems"]] == ["slices.gone[0]"]


def test_a_missing_folder_exits_1_with_its_sentence(run_check):
    result = run_check("nowhere")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("nowhere: there is no such folder; ")
