"""A quote is arithmetic on counts and figures: right by hand, linear in captions, instant at any size."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.assumptions import assumed_figures, encoder_parameters, jpeg_bytes, training_forwards
from synclr_assets.cost.quote import STAGES, Quote, quote
from synclr_assets.cost.rates import Figure, Generators, Rates, generator_figures, given_figures, read_rates
from synclr_assets.cost.settings_files import SettingsFileError
from synclr_assets.cost.workload import BucketWork, buckets_of, paid_buckets, workload
from synclr_assets.store.errors import StoreError
from synclr_assets.synthesis.image_samplers import ImageSamplerSettings
from synclr_assets.synthesis.prompts import load_prompt_set
from synclr_train.recipes import rehearsal, vit_b16
from tests.synclr_assets.conftest import write_bank

PAPER_CAPTIONS = 150_000_000
PAPER_RATES = Rates.model_validate(
    {
        "captioner": {
            "runs_on": "gpu",
            "completions_per_second": 50,
            "attempts_per_caption": 1,
            "workers": 10,
        },
        "backgrounds": {
            "runs_on": "api",
            "lists_per_second": 1,
            "attempts_per_list": 1,
            "prompt_tokens_per_list": 100,
            "completion_tokens_per_background": 10,
            "usd_per_million_prompt_tokens": 2,
            "usd_per_million_completion_tokens": 8,
        },
        "images": {
            "runs_on": "gpu",
            "images_per_second": 2,
            "draws_per_image": 1,
            "bytes_per_image": 100_000,
            "workers": 100,
        },
        "packing": {"bytes_per_second": 50e6},
        "training": {"runs_on": "gpu", "recipe": "vit_b16", "images_per_second": 500, "workers": 64},
        "prices": {"usd_per_gpu_hour": 2},
    }
)


def figures_of(rates: Rates = PAPER_RATES) -> dict[str, Figure]:
    given_ones = given_figures(rates, "rates.yaml")
    recipe = vit_b16() if rates.training.recipe else rehearsal()
    assumed = assumed_figures(load_prompt_set(), recipe, ImageSamplerSettings(), given_ones)
    return assumed | given_ones


def work_of(num_captions: int, name: str = "birds") -> BucketWork:
    shares = {"c": 0.44 * num_captions, "c_rel": 0.11 * num_captions, "c_bg": 0.45 * num_captions}
    return BucketWork(name, num_captions, shares, num_background_lists=200)


@pytest.fixture
def paper_sized() -> Quote:
    return quote([work_of(PAPER_CAPTIONS)], figures_of())


def test_the_papers_numbers_follow_from_its_captions(paper_sized: Quote) -> None:
    """SynCLR 3.2 and table 12: 600M images; 500k steps of 8192 captions with four images each."""
    line = {line.stage: line for line in paper_sized.lines}
    assert line["images"].units == line["images"].requests == 600e6
    assert line["captions"].units + line["enriched_captions"].units == pytest.approx(PAPER_CAPTIONS)
    assert line["checkpoint"].units == 500_000
    assert line["checkpoint"].gpu_hours == pytest.approx(500_000 * 8192 * 4 / 500 / 3600)


def test_amounts_are_what_one_reckons_by_hand(paper_sized: Quote) -> None:
    line = {line.stage: line for line in paper_sized.lines}
    assert line["images"].gpu_hours == pytest.approx(600e6 / 2 / 3600)
    assert line["images"].days == pytest.approx(600e6 / 2 / 100 / 86_400)
    assert line["images"].usd == pytest.approx(600e6 / 2 / 3600 * 2)
    assert line["captions"].gpu_hours == pytest.approx(0.55 * PAPER_CAPTIONS / 50 / 3600)
    assert line["captions"].days == pytest.approx(0.55 * PAPER_CAPTIONS / 50 / 10 / 86_400)
    assert line["backgrounds"].usd == pytest.approx(200 * (100 * 2 + 1000 * 8) / 1e6)
    assert line["backgrounds"].gpu_hours == line["backgrounds"].cpu_hours == 0
    assert line["shards"].size_bytes == pytest.approx(PAPER_CAPTIONS * (4 * 100_768 + 2 * 768 + 1000))
    assert line["shards"].cpu_hours == pytest.approx(line["shards"].size_bytes / 50e6 / 3600)
    assert line["shards"].usd == 0


def test_totals_are_the_sums_of_their_lines(paper_sized: Quote) -> None:
    whole = paper_sized.whole
    assert whole.usd == pytest.approx(sum(paper_sized.of_stage(stage).usd for stage in STAGES))
    of_slice = paper_sized.of_stage("checkpoint").usd + paper_sized.of_stage("evaluations").usd
    assert whole.usd == pytest.approx(paper_sized.of_bucket("birds").usd + of_slice)
    assert whole.lower_bounds == ()
    assert paper_sized.unknown == ()


def test_what_nobody_knows_is_named_and_never_counted_as_nothing() -> None:
    speedless = PAPER_RATES.model_copy(
        update={
            "images": PAPER_RATES.images.model_copy(update={"images_per_second": None}),
            "backgrounds": PAPER_RATES.backgrounds.model_copy(update={"usd_per_million_prompt_tokens": None}),
        }
    )
    result = quote([work_of(1000)], figures_of(speedless))
    assert result.unknown == ("backgrounds.usd_per_million_prompt_tokens", "images.images_per_second")
    images = next(line for line in result.lines if line.stage == "images")
    assert (images.gpu_hours, images.usd, images.days) == (None, None, None)
    assert images.requests == 4000
    assert set(result.whole.lower_bounds) == {"gpu_hours", "usd", "days"}
    assert result.expected["captions"]["gpu_seconds"] == pytest.approx(0.55 / 50)
    assert "gpu_seconds" not in result.expected["images"]
    assert result.expected["shards"] == {"usd": 0, "tokens": 0, "gpu_seconds": 0, "requests": 0}
    assert "usd" not in result.expected["backgrounds"]


@given(num_captions=st.integers(1, 10**9), factor=st.integers(2, 50))
def test_the_data_stages_grow_with_the_captions(num_captions: int, factor: int) -> None:
    figures = FIGURES
    small, large = (quote([work_of(n)], figures) for n in (num_captions, num_captions * factor))
    for stage in ("captions", "enriched_captions", "images", "shards"):
        for amount in ("usd", "gpu_hours", "cpu_hours", "size_bytes", "prompt_tokens", "days"):
            a, b = (getattr(result.of_stage(stage), amount) for result in (small, large))
            assert b == pytest.approx(a * factor)


FIGURES = figures_of()


def test_a_quote_takes_as_long_for_the_paper_as_for_the_demo(tmp_path: Path) -> None:
    names = "".join(f"  - concept number {number}\n" for number in range(13_000))
    bank = write_bank(tmp_path / "big", {"names.yaml": f"captions: 1000\nconcepts:\n{names}"})
    started = time.process_time()
    result = quote(workload(bank, "all", PAPER_CAPTIONS), FIGURES)
    assert time.process_time() - started < 1.0
    assert result.num_captions == PAPER_CAPTIONS


def test_templates_follow_weights_shares_and_sources(bank: ConceptBank, tmp_path: Path) -> None:
    fruit, patterns = workload(bank, "all")
    assert fruit.captions_by_template == pytest.approx(
        {"c": 23 * 0.44, "c_rel": 23 * 0.11, "c_bg": 23 * 0.45}
    )
    assert patterns.captions_by_template == pytest.approx({"c": 11, "c_rel": 0, "c_bg": 0})
    assert (fruit.num_background_lists, patterns.num_background_lists) == (3, 0)
    weighted = write_bank(
        tmp_path / "weighted",
        {"b.yaml": "captions: 100\nconcepts: [owl, {name: robin, weight: 3, templates: [c]}]\n"},
    )
    (work,) = workload(weighted, "b")
    assert work.captions_by_template == pytest.approx({"c": 75 + 11, "c_rel": 2.75, "c_bg": 11.25})
    assert work.num_background_lists == 1
    flowers = write_bank(
        tmp_path / "flowers", {"f.yaml": "captions: 9\nsource: flowers\nconcepts: [rose, tulip]\n"}
    )
    assert workload(flowers, "f")[0].num_background_lists == 1
    assert paid_buckets(flowers, "f") == ("f", "source:flowers")


def test_a_total_is_shared_in_proportion(bank: ConceptBank) -> None:
    assert [one.num_captions for one in workload(bank, "all", 340)] == [230, 110]
    with pytest.raises(StoreError, match="1 captions leave bucket patterns with none: ask for more"):
        workload(bank, "all", 1)


def test_an_unknown_slice_is_one_sentence(bank: ConceptBank) -> None:
    with pytest.raises(StoreError, match=r"'birds' is no slice of .*: choose one of all, everything, fruit"):
        buckets_of(bank, "birds")


def test_prompt_tokens_are_counted_on_real_prompts() -> None:
    prompts = load_prompt_set()
    figures = figures_of(Rates())
    shortest = min(len(line) for line in prompts.examples["c"])
    tokens = figures["captioner.prompt_tokens.c"].value
    assert isinstance(tokens, float)
    assert (len(prompts.headers["c"]) + 3 * shortest) / 4 < tokens < 150
    finer = figures_of(Rates.model_validate({"captioner": {"characters_per_token": 2}}))
    assert finer["captioner.prompt_tokens.c"].value == pytest.approx(2 * tokens)


def test_jpeg_bytes_grow_with_size_and_quality() -> None:
    assert jpeg_bytes(512, 95) > jpeg_bytes(512, 90) > jpeg_bytes(256, 90)
    assert jpeg_bytes(512, 92.5) == pytest.approx((jpeg_bytes(512, 90) + jpeg_bytes(512, 95)) / 2)


def test_the_recipe_is_counted_as_the_paper_builds_it() -> None:
    assert encoder_parameters(vit_b16()) == pytest.approx(85.8e6, rel=0.01)
    assert training_forwards(vit_b16()) == pytest.approx((3 * (196 + 4 * 36) + 196) / 196)


def test_no_speed_and_no_price_is_ever_assumed() -> None:
    """But a dictionary's lookup and this machine's own hours."""
    figures = figures_of(Rates())
    rates = {place for place in figures if "per_second" in place or "usd" in place}
    assert rates == {"backgrounds.lists_per_second", "prices.usd_per_cpu_hour"}
    assert {figure.basis for figure in figures.values()} == {"assumed", "counted"}
    assert all(figure.because for figure in figures.values())


def test_a_batch_api_halves_the_price_it_is_given() -> None:
    server = {
        "base_url": "http://127.0.0.1:1/v1",
        "model": "writer",
        "usd_per_million_prompt_tokens": 3.0,
        "usd_per_million_completion_tokens": 9.0,
        "use_batch_api": True,
    }
    settings = {"backgrounds": {"kind": "list", "openai": server}}
    figures = generator_figures(Generators.model_validate(settings))
    assert figures["backgrounds.usd_per_million_completion_tokens"].value == 4.5
    assert figures["backgrounds.runs_on"].value == "api"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("images: {images_per_second: 0}", "images.images_per_second: input should be greater than 0, not 0"),
        ("images: {speed: 3}", "images.speed: this is no key of the file"),
        (
            "captioner: {runs_on: moon}",
            "captioner.runs_on: input should be 'cpu', 'gpu' or 'api', not 'moon'",
        ),
        ("captioner: {attempts_per_caption: 0.5}", "captioner.attempts_per_caption: input should be"),
    ],
)
def test_a_faulty_rates_file_is_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text(text)
    with pytest.raises(SettingsFileError) as raised:
        read_rates(path)
    assert f"{path}, {sentence}" in str(raised.value)
    assert "\n" not in str(raised.value)
