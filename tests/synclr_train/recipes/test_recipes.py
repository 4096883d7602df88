"""Recipes state the paper's numbers once, refuse contradictions, and say where they leave the paper."""

import subprocess
import sys

import pydantic
import pytest

from synclr_train.config import Config, Recipe
from synclr_train.recipes import RECIPES, get_recipe


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_has_its_name_and_survives_json(name):
    recipe = get_recipe(name)
    assert recipe.name == name
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'vit_b32' does not exist: choose one of ablation_all, .*vit_b16"):
        get_recipe("vit_b32")


def test_vit_b16_states_the_papers_table():
    """SynCLR 3.3, 3.4 and table 12."""
    recipe = get_recipe("vit_b16")
    optimiser, crops, heads, ibot = recipe.optimiser, recipe.crops, recipe.heads, recipe.ibot
    assert (recipe.batch.captions, recipe.batch.views_per_caption, recipe.steps) == (8192, 4, 500_000)
    assert (recipe.learning_rate, optimiser.warmup_steps, optimiser.betas) == (2e-3, 80_000, (0.9, 0.999))
    assert (optimiser.weight_decay_start, optimiser.weight_decay_end) == (0.04, 0.2)
    assert (optimiser.ema_momentum_start, optimiser.ema_momentum_end) == (0.994, 1.0)
    assert (crops.num_global, crops.num_local, crops.local_size) == (1, 4, 96)
    assert (crops.global_area, crops.local_area) == ((0.32, 1.0), (0.08, 0.32))
    assert (heads.hidden_dim, heads.output_dim, heads.norm) == (4096, 256, "layer")
    assert recipe.contrastive.temperature == 0.08
    assert (ibot.num_prototypes, ibot.masked_image_share, ibot.masked_patch_share) == (65_536, 0.5, 0.5)
    assert recipe.backbone.drop_path_rate == 0.1


def test_vit_l14_differs_where_the_paper_does():
    recipe = get_recipe("vit_l14")
    assert (recipe.learning_rate, recipe.backbone.drop_path_rate) == (1.5e-3, 0.4)
    assert (recipe.backbone.embed_dim, recipe.backbone.depth, recipe.backbone.patch_size) == (1024, 24, 14)


def test_the_rehearsal_names_every_departure():
    """Each top-level part that differs from the paper's recipe has a line that says why."""
    here, paper = get_recipe("rehearsal").model_dump(), get_recipe("vit_b16").model_dump()
    loading = {"num_workers", "encoded_cache_bytes"}
    bookkeeping = {
        "name",
        "departures",
        "log_every_steps",
        "checkpoint_every_steps",
        "checkpoints_kept",
        *loading,
    }
    stated = " ".join(departure.what for departure in get_recipe("rehearsal").departures)
    silent = []
    for part in set(here) - bookkeeping:
        if not isinstance(here[part], dict) or not isinstance(paper[part], dict):
            differing = [part] if here[part] != paper[part] else []
        else:
            differing = [f"{part}.{key}" for key in here[part] if here[part][key] != paper[part][key]]
        silent += [setting for setting in differing if setting not in stated]
    assert silent == []


def test_simclr_rehearsal_sees_the_same_images_and_steps():
    synclr, simclr = get_recipe("rehearsal"), get_recipe("rehearsal_simclr")
    for part in ("backbone", "augment", "heads", "optimiser", "batch", "steps", "seed"):
        assert getattr(synclr, part) == getattr(simclr, part), part
    assert simclr.objective == "simclr"


def test_a_fingerprint_names_settings_not_prose():
    recipe = get_recipe("vit_s16")
    assert recipe.varied(departures=()).fingerprint == recipe.fingerprint
    assert recipe.varied(seed=1).fingerprint != recipe.fingerprint
    assert len(recipe.fingerprint) == 32


def test_learning_rate_is_linear_in_captions():
    recipe = get_recipe("vit_b16")
    half = recipe.varied(batch=recipe.batch.model_copy(update={"captions": 4096}))
    assert half.learning_rate == pytest.approx(recipe.learning_rate / 2)


def test_another_number_of_steps_keeps_the_share_of_the_warm_ups():
    shorter = get_recipe("vit_b16").with_steps(85_000)
    assert (shorter.steps, shorter.optimiser.warmup_steps) == (85_000, 13_600)
    assert shorter.ibot.teacher_temperature_steps == 680
    assert get_recipe("rehearsal").with_steps(1).optimiser.warmup_steps == 0
    with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
        get_recipe("rehearsal").with_steps(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surprise": 1}, "surprise"),
        ({"steps": 0}, "steps"),
        ({"ema_teacher": False}, "ibot needs ema_teacher"),
        ({"objective": "simclr"}, "crops.num_global of at least 2"),
        ({"batch": {"captions": 8, "views_per_caption": 1}}, "views_per_caption of at least 2"),
        ({"objective": "supervised"}, "'supervised' has no keys"),
        ({"steps": 80_000}, "warmup_steps must be below steps"),
        ({"checkpoint_every_steps": 75}, "must be a multiple of"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        get_recipe("vit_b16").varied(**changes)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("backbone", {"patch_size": 15}, "multiple of patch_size"),
        ("backbone", {"num_heads": 7}, "multiple of num_heads"),
        ("crops", {"local_size": 90}, "multiple of backbone.patch_size"),
        ("crops", {"global_area": (0.9, 0.2)}, "rising pair"),
        ("augment", {"blur_kernel_size": 8}, "must be odd"),
        ("optimiser", {"peak_learning_rate": float("nan")}, "finite"),
    ],
)
def test_contradictions_within_a_part_are_refused(part, changes, message):
    recipe = get_recipe("vit_b16")
    values = getattr(recipe, part).model_dump() | changes
    with pytest.raises(pydantic.ValidationError, match=message):
        recipe.varied(**{part: values})


def test_recipes_are_frozen():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        get_recipe("vit_b16").steps = 3


def test_every_field_is_documented():
    def undocumented(config: type[Config]) -> list[str]:
        return [
            f"{config.__name__}.{name}"
            for name, field in config.model_fields.items()
            if not field.description
        ]

    assert [name for config in Config.__subclasses__() for name in undocumented(config)] == []


def test_recipes_need_no_torch():
    program = (
        "import sys, synclr_train.recipes; sys.exit(any(m in sys.modules for m in ('torch', 'lightning')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
