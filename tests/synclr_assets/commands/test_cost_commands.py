"""`synclr quote`, `ledger` and `licences`: what they print for people and for scripts."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from synclr_assets.commands import ledger, licences, quote
from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.budget import Budget
from synclr_assets.cost.settings_files import SettingsFileError
from synclr_assets.store.errors import StoreError, UnknownIdError
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import Stages

RATES = """
captioner: {runs_on: gpu, model: some-llm, completions_per_second: 40, workers: 8}
images: {runs_on: gpu, model: some-sampler, images_per_second: 2, size_px: 512, workers: 64}
packing: {bytes_per_second: 50000000, workers: 16}
training: {runs_on: gpu, recipe: vit_b16, images_per_second: 700, workers: 32}
prices: {usd_per_gpu_hour: 2}
"""


@pytest.fixture(autouse=True)
def environment(bank: ConceptBank, stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLR_CONCEPTS", str(bank.folder))
    monkeypatch.setenv("SYNCLR_STORE", str(stages.store.location.folder))


def run(command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def test_a_quote_of_the_papers_size(tmp_path: Path) -> None:
    (tmp_path / "rates.yaml").write_text(RATES)
    options = ("--rates", str(tmp_path / "rates.yaml"), "--captions", "150000000")
    document = json.loads(run(quote.command, *options, "--json").stdout)
    assert document["num_captions"] == 150_000_000
    assert document["stages"]["images"]["requests"] == pytest.approx(600e6 * 1.01)
    assert document["stages"]["checkpoint"]["gpu_hours"] == pytest.approx(500_000 * 32_768 / 700 / 3600)
    assert set(document["buckets"]) == {"fruit", "patterns"}
    assert document["figures"]["images.images_per_second"] == {
        "value": 2.0,
        "basis": "given",
        "because": str(tmp_path / "rates.yaml"),
    }
    assert document["unknown"] == []
    Budget.model_validate({"expected": document["expected"]})
    text = run(quote.command, *options).stdout
    assert "all: 150\u202f000\u202f000 captions" in text
    for stage in (
        "captions",
        "backgrounds",
        "enriched_captions",
        "images",
        "shards",
        "checkpoint",
        "evaluations",
    ):
        assert f"\n{stage}" in text
    assert "assumed   one draw in twenty fails a check" in text


def test_a_quote_without_rates_says_what_it_does_not_know(stages: Stages) -> None:
    text = run(quote.command, "fruit").stdout
    assert (
        "images.images_per_second is not known, so what needs it is left out (?): give it in --rates" in text
    )
    line = next(line for line in text.splitlines() if line.startswith("images "))
    assert line.split()[-1] == "?"
    stages.run_all(Unit("fruit", 0))
    text = run(quote.command, "fruit").stdout
    assert "measured  the ledger:" in text
    assert "images.images_per_second is not known" not in text
    assert "training.images_per_second is not known" in text


def test_the_ledger_of_a_slice_by_several_keys(stages: Stages) -> None:
    stages.run_all(Unit("fruit", 0))
    stages.run_all(Unit("patterns", 0))
    rows = json.loads(run(ledger.command, "fruit", "--by", "bucket", "--by", "asset", "--json").stdout)
    assert {row["bucket"] for row in rows} == {"fruit"}
    assert next(row["units"] for row in rows if row["asset"] == "images") == 92
    text = run(ledger.command, "--by", "generator").stdout
    assert text.splitlines()[0].split()[:3] == ["generator", "units", "requests"]
    assert any(line.startswith("rehearsal-painter") for line in text.splitlines())
    assert text.splitlines()[-1].startswith("in all")


def test_licences_of_a_slice_and_of_nothing(stages: Stages) -> None:
    with pytest.raises(
        StoreError, match=r"Slice fruit has no data in .*: run synclr materialize fruit first"
    ):
        run(licences.command, "fruit")
    stages.run_all(Unit("fruit", 0))
    text = run(licences.command, "fruit").stdout
    assert (
        "Apache-2.0 https://www.apache.org/licenses/LICENSE-2.0\n  - It asks nothing of the use of output."
        in text
    )
    assert "not legal advice" in text
    document = json.loads(run(licences.command, "fruit", "--json").stdout)
    assert {use["known_as"] for use in document["uses"]} == {"Apache-2.0"}
    with pytest.raises(UnknownIdError, match="No model 'abcdef'"):
        run(licences.command, "abcdef")


def test_a_faulty_rates_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "rates.yaml").write_text("captioner: {on: gpu}")
    with pytest.raises(SettingsFileError, match=r"rates\.yaml, captioner: .*True"):
        run(quote.command, "--rates", str(tmp_path / "rates.yaml"))
