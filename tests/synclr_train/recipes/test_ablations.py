"""The rows of tables 4 and 5 differ from each other by exactly what the paper's rows are named after."""

import pytest

from synclr_train.recipes.ablations import (
    ABLATIONS,
    MINIATURE_TABLE_4,
    MINIATURE_TABLE_5,
    TABLE_4,
    TABLE_5,
    ablation_all,
    rehearsal_ema,
)
from synclr_train.recipes.paper import vit_b16
from synclr_train.recipes.rehearsal import rehearsal


def differences(one, other) -> set[str]:
    """Dotted names of the settings in which two recipes differ, prose and name apart."""
    ours, theirs = one.model_dump(exclude={"name", "departures"}), other.model_dump()
    found = set()
    for part, value in ours.items():
        if isinstance(value, dict) and isinstance(theirs[part], dict):
            found |= {f"{part}.{key}" for key in value if value[key] != theirs[part][key]}
        elif value != theirs[part]:
            found.add(part)
    return found


@pytest.mark.parametrize("table", [TABLE_4, MINIATURE_TABLE_4])
def test_table_4_switches_one_part_at_a_time(table):
    stablerep, ema, ibot, multicrop, everything = (row() for row in table)
    assert differences(stablerep, ema) - {"export_network"} == {"ema_teacher"}
    assert not stablerep.ema_teacher
    assert differences(ema, ibot) == {"ibot"}
    assert differences(ema, multicrop) == {"crops.num_local"}
    assert differences(ibot, everything) == {"crops.num_local"}
    assert differences(multicrop, everything) == {"ibot"}
    assert (ema.ibot, ema.crops.num_local, everything.crops.num_local) == (None, 0, 4)


@pytest.mark.parametrize("table", [TABLE_5, MINIATURE_TABLE_5])
def test_table_5_switches_the_objective(table):
    supervised, simclr, synclr = (row() for row in table)
    assert differences(synclr, supervised) == {"objective"}
    assert differences(synclr, simclr) == {"objective", "crops.num_global"}
    assert [row.objective for row in (supervised, simclr, synclr)] == ["supervised", "simclr", "synclr"]


def test_the_papers_ablations_have_their_size():
    """SynCLR table 4: ViT-B/16, 2048 captions, 85 000 steps; the rate follows the batch."""
    recipe = ablation_all()
    assert differences(recipe, vit_b16()) == {"steps", "batch.captions", "optimiser.warmup_steps"}
    assert (recipe.steps, recipe.batch.captions, recipe.learning_rate) == (85_000, 2048, 5e-4)


def test_the_miniature_rows_are_the_rehearsal():
    assert differences(rehearsal_ema(), rehearsal()) == set()


@pytest.mark.parametrize("recipe", ABLATIONS)
def test_departures_describe_the_row(recipe):
    """A row that takes a part of the paper back up no longer says that it leaves it out."""
    row = recipe()
    what = [departure.what for departure in row.departures]
    assert len(set(what)) == len(what)
    assert not (row.ibot and "ibot" in what)
    assert not (row.crops.num_local and any(each.startswith("crops.num_local") for each in what))
