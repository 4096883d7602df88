"""Generators are made from settings by kind; an unknown kind is one sentence; nothing heavy is imported."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from synclr_assets.synthesis.backgrounds import BackgroundSettings, make_background_writer
from synclr_assets.synthesis.captioners import CaptionerSettings, make_captioner
from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.image_samplers import ImageSamplerSettings, make_image_sampler
from synclr_assets.synthesis.openai_settings import OpenAIBackgroundSettings
from synclr_assets.synthesis.prompts import PromptSetError

MADE = [
    make_captioner(CaptionerSettings()),
    make_background_writer(BackgroundSettings()),
    make_image_sampler(ImageSamplerSettings()),
]


@pytest.mark.parametrize("generator", MADE)
def test_every_generator_says_where_its_output_comes_from(generator: object) -> None:
    provenance = generator.provenance  # type: ignore[attr-defined]
    assert provenance.model.startswith("rehearsal-")
    assert provenance.revision
    assert provenance.licence
    assert len(provenance.fingerprint) == 32


def test_the_three_fingerprints_differ() -> None:
    assert len({generator.provenance.fingerprint for generator in MADE}) == 3


def test_settings_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    small, large = (make_image_sampler(ImageSamplerSettings(size_px=size)) for size in (48, 64))
    assert small.provenance.fingerprint != large.provenance.fingerprint


def test_an_unknown_kind_gets_one_sentence_with_the_known_ones() -> None:
    known = "rehearsal, transformers, openai_compatible"
    with pytest.raises(ValueError, match=rf"^captioner kind 'gpt' is unknown; use one of: {known}\.$"):
        make_captioner(CaptionerSettings(kind="gpt"))
    with pytest.raises(
        ValueError,
        match=r"^background kind 'gpt' is unknown; use one of: rehearsal, frozen, list, rewrite\.$",
    ):
        make_background_writer(BackgroundSettings(kind="gpt"))
    with pytest.raises(
        ValueError, match=r"^image sampler kind 'gan' is unknown; use one of: rehearsal, diffusers\.$"
    ):
        make_image_sampler(ImageSamplerSettings(kind="gan"))


def test_a_captioner_behind_a_server_needs_the_server() -> None:
    with pytest.raises(ValueError, match="needs its server; set openai with at least base_url and model"):
        make_captioner(CaptionerSettings(kind="openai_compatible"))


def test_a_background_path_and_its_kind_belong_together() -> None:
    with pytest.raises(ValueError, match="needs a path"):
        make_background_writer(BackgroundSettings(kind="frozen"))
    with pytest.raises(ValueError, match="set kind to frozen"):
        make_background_writer(BackgroundSettings(path=Path("mine.json")))


def test_a_bad_prompt_set_stops_the_captioner() -> None:
    with pytest.raises(PromptSetError, match=r"absent\.yaml"):
        make_captioner(CaptionerSettings(prompt_set=Path("absent.yaml")))


def test_settings_refuse_unknown_fields_and_sizes() -> None:
    with pytest.raises(ValidationError):
        ImageSamplerSettings(size=48)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        ImageSamplerSettings(size_px=7)


def test_diffusers_settings_and_their_kind_belong_together() -> None:
    with pytest.raises(ValueError, match=r"'rehearsal' has no diffusers settings; set kind to diffusers\.$"):
        make_image_sampler(ImageSamplerSettings(diffusers=DiffusersSettings()))


def test_each_kind_has_its_own_size() -> None:
    assert make_image_sampler(ImageSamplerSettings()).size_px == 48
    diffusers = DiffusersSettings(device="cpu")
    assert make_image_sampler(ImageSamplerSettings(kind="diffusers", diffusers=diffusers)).size_px == 512


def test_making_generators_imports_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from synclr_assets.synthesis import backgrounds, captioners, image_checks, image_samplers\n"
        "for kind in ('rehearsal', 'transformers'):\n"
        "    captioners.make_captioner(captioners.CaptionerSettings(kind=kind))\n"
        "image_samplers.make_image_sampler(image_samplers.ImageSamplerSettings())\n"
        "heavy = {'torch', 'dagster', 'transformers', 'diffusers', 'scipy', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_a_background_kind_that_asks_a_server_needs_it_and_no_other_takes_it() -> None:
    api = OpenAIBackgroundSettings(base_url="http://localhost:1/v1", model="m")
    for kind in ("list", "rewrite"):
        with pytest.raises(
            ValueError, match=f"background kind '{kind}' needs its server; set openai with at least"
        ):
            make_background_writer(BackgroundSettings(kind=kind))
        assert make_background_writer(BackgroundSettings(kind=kind, openai=api)).provenance.model == "m"
    with pytest.raises(ValueError, match="background kind 'rehearsal' asks no server"):
        make_background_writer(BackgroundSettings(openai=api))


def test_background_settings_that_change_answers_change_the_fingerprint() -> None:
    def fingerprint(kind: str = "list", **changes: object) -> str:
        given = {"base_url": "http://localhost:1/v1", "model": "m"} | changes
        api = OpenAIBackgroundSettings.model_validate(given)
        return make_background_writer(BackgroundSettings(kind=kind, openai=api)).provenance.fingerprint

    deciding = [
        {"model": "n"},
        {"temperature": None},
        {"max_tokens": 9},
        {"shared_lists": {}},
        {"kind": "rewrite"},
    ]
    assert len({fingerprint(), *(fingerprint(**change) for change in deciding)}) == 1 + len(deciding)  # type: ignore[arg-type]
    assert fingerprint(max_concurrency=1, use_batch_api=True, timeout_seconds=3) == fingerprint()
