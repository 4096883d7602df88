"""A probe measures the real generators and the real trainer for bounded seconds."""

import time
from pathlib import Path

import pytest

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost import training_probe
from synclr_assets.cost.probe import probe
from synclr_assets.cost.rates import Generators
from synclr_assets.cost.training_probe import probe_recipe, training_speed
from synclr_train.recipes import rehearsal, vit_b16


def test_every_part_is_measured_and_the_whole_is_short(bank: ConceptBank) -> None:
    told: list[str] = []
    started = time.monotonic()
    measured = probe(bank, "all", Generators(), rehearsal(), 0.3, told.append)
    elapsed = time.monotonic() - started
    assert measured.remarks == []
    assert told == [
        "captioner",
        "background writer",
        "image sampler",
        "packing",
        "training, recipe rehearsal",
    ]
    for place in (
        "captioner.completions_per_second",
        "backgrounds.lists_per_second",
        "images.images_per_second",
        "packing.bytes_per_second",
        "training.images_per_second",
    ):
        assert float(measured.figures[place].value) > 0
    assert (
        measured.figures["captioner.prompt_tokens.c_bg"].value
        > measured.figures["captioner.prompt_tokens.c"].value
    )
    assert 500 < float(measured.figures["images.bytes_per_image"].value) < 20_000
    assert {figure.basis for figure in measured.figures.values()} == {"measured"}
    assert elapsed < 120


def test_a_training_that_is_too_slow_is_said_and_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_probe, "START_SECONDS", 0.05)
    said = training_speed(rehearsal(), tmp_path / "none.tar", tmp_path / "model", 8, 0.1)
    assert said == (
        "Training of rehearsal was not measured (its steps take longer than the probe waits): give "
        "training.images_per_second in a rates file."
    )


def test_the_probed_recipe_differs_only_in_what_a_few_captions_force() -> None:
    recipe = probe_recipe(vit_b16(), num_captions=20)
    assert recipe.batch.captions == 20
    for part in ("backbone", "crops", "augment", "heads", "ibot", "optimiser", "steps"):
        assert getattr(recipe, part) == getattr(vit_b16(), part)
