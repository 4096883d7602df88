"""docs/concepts.md: its examples are valid and its sentences are the ones a user gets."""

import re
from pathlib import Path

import pytest

from synclr_assets.concept_bank.bucket import SOURCES

PAGE = (Path(__file__).parents[3] / "docs" / "concepts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
FAULTS = re.findall(r"^\| `(.+)` \| `(birds\.yaml, .+)` \|$", PAGE, flags=re.MULTILINE)


def test_the_examples_make_a_bank_without_problems(bank_of):
    smallest, largest, slices = BLOCKS
    bank = bank_of({"birds.yaml": smallest, "fowl.yaml": largest, "slices.yaml": slices})
    assert bank.problems == ()
    assert list(bank.buckets) == ["birds", "fowl"]
    assert bank.slices["animals"] == ("birds", "fowl")


@pytest.mark.parametrize(("line", "sentence"), FAULTS)
def test_a_line_gets_the_sentence_that_the_page_shows(bank_of, folder, line, sentence):
    fields = {"captions": "captions: 10", "concepts": "concepts: [owl]"}
    if line.startswith("- "):
        fields["concepts"] = f"concepts:\n  - owl\n  {line}"
    else:
        fields[line.partition(":")[0]] = line
    bank = bank_of({"birds.yaml": "\n".join(fields.values())})
    assert [problem.sentence for problem in bank.problems] == [f"{folder}/{sentence}"]


def test_the_page_shows_faults_and_every_source():
    assert len(FAULTS) >= 15
    assert all(f"`{source}`" in PAGE for source in SOURCES)
