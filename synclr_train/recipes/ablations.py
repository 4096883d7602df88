"""The rows of the paper's tables 4 and 5, at the paper's size and in miniature; each states what differs.

Imports no torch.
"""

from synclr_train.config import Departure, IbotConfig, Recipe
from synclr_train.recipes.paper import vit_b16
from synclr_train.recipes.rehearsal import rehearsal, rehearsal_simclr

NUM_LOCAL_CROPS = 4

NO_PREDICTOR = Departure(
    what="ema_teacher, export_network",
    paper="table 4's first row is StableRep, which has neither teacher nor predictor",
    here="the student is contrasted with itself, and exported",
    why="this row is a baseline, not the method",
)
OBJECTIVE_ALONE = Departure(
    what="objective, ema_teacher, ibot, crops.num_local",
    paper="does not say which parts of SynCLR the rows of table 5 share",
    here="no teacher, no iBOT, no local crops, as in the StableRep row",
    why="the rows of table 5 then differ by their objective alone",
)


def ablation_all() -> Recipe:
    """Table 4, last row: ViT-B/16 with everything, 85 000 steps of 2048 captions."""
    base = vit_b16()
    return base.with_steps(85_000).varied(
        name="ablation_all",
        batch=base.batch.model_copy(update={"captions": 2048}),
        ibot=base.ibot,
        departures=(
            *base.departures,
            Departure(
                what="optimiser.warmup_steps",
                paper="says 80 000 of 500 000 steps, and nothing for the 85 000 steps of the ablations",
                here="13 600 steps, the same share of the run",
                why="80 000 of 85 000 steps would leave no training at the peak rate",
            ),
        ),
    )


def ablation_stablerep() -> Recipe:
    """Table 4, first row, and the SynCLR row of table 5's comparison of objectives: no teacher, no iBOT, no
    local crops."""
    base = ablation_all()
    return _without_local_crops(base).varied(
        name="ablation_stablerep",
        ema_teacher=False,
        ibot=None,
        export_network="student",
        departures=(*_except("export_network", base.departures), NO_PREDICTOR),
    )


def ablation_ema() -> Recipe:
    """Table 4: + EMA."""
    return _without_local_crops(ablation_all()).varied(name="ablation_ema", ibot=None)


def ablation_ema_ibot() -> Recipe:
    """Table 4: + EMA + iBOT."""
    return _without_local_crops(ablation_all()).varied(name="ablation_ema_ibot")


def ablation_ema_multicrop() -> Recipe:
    """Table 4: + EMA + multi-crop."""
    return ablation_all().varied(name="ablation_ema_multicrop", ibot=None)


def ablation_simclr() -> Recipe:
    """Table 5: SimCLR; two global crops of an image are each other's positives."""
    base = ablation_stablerep()
    return base.varied(
        name="ablation_simclr",
        objective="simclr",
        crops=base.crops.model_copy(update={"num_global": 2}),
        departures=(*base.departures, OBJECTIVE_ALONE),
    )


def ablation_supervised() -> Recipe:
    """Table 5: supervised cross-entropy; the class of an image is the concept of its caption."""
    base = ablation_stablerep()
    return base.varied(
        name="ablation_supervised", objective="supervised", departures=(*base.departures, OBJECTIVE_ALONE)
    )


def rehearsal_stablerep() -> Recipe:
    """Table 4 in miniature, first row: no teacher, no iBOT, no local crops."""
    base = rehearsal()
    return base.varied(
        name="rehearsal_stablerep", ema_teacher=False, departures=(*base.departures, NO_PREDICTOR)
    )


def rehearsal_ema() -> Recipe:
    """Table 4 in miniature: + EMA; the settings of `rehearsal` under the row's name."""
    return rehearsal().varied(name="rehearsal_ema")


def rehearsal_ema_ibot() -> Recipe:
    """Table 4 in miniature: + EMA + iBOT."""
    base = rehearsal()
    return base.varied(
        name="rehearsal_ema_ibot",
        ibot=miniature_ibot(),
        departures=(*_except("ibot", base.departures), MINIATURE_IBOT),
    )


def rehearsal_ema_multicrop() -> Recipe:
    """Table 4 in miniature: + EMA + multi-crop."""
    return _with_local_crops(rehearsal()).varied(name="rehearsal_ema_multicrop")


def rehearsal_all() -> Recipe:
    """Table 4 in miniature, last row: EMA, iBOT and multi-crop."""
    return _with_local_crops(rehearsal_ema_ibot()).varied(name="rehearsal_all")


def rehearsal_supervised() -> Recipe:
    """Table 5 in miniature: supervised cross-entropy over the concepts; its other rows are
    `rehearsal_stablerep` and `rehearsal_simclr`."""
    base = rehearsal_stablerep()
    return base.varied(
        name="rehearsal_supervised",
        objective="supervised",
        departures=(*base.departures, OBJECTIVE_ALONE),
    )


def miniature_ibot() -> IbotConfig:
    """The paper's iBOT with a head that fits 512 masked tokens a step."""
    base = vit_b16().ibot
    assert base is not None
    return base.model_copy(
        update={
            "num_prototypes": 256,
            "hidden_dim": 256,
            "bottleneck_dim": 64,
            "teacher_temperature_steps": 10,
        }
    )


MINIATURE_IBOT = Departure(
    what="ibot.num_prototypes, ibot.hidden_dim, ibot.bottleneck_dim, ibot.teacher_temperature_steps",
    paper="65 536 prototypes behind layers of 2048 and 256; teacher temperature rises over 4000 steps",
    here="256 prototypes behind layers of 256 and 64; it rises over 10 steps",
    why="Sinkhorn-Knopp spreads 512 masked tokens a step, where the paper's batch has 1.6 million; the rise "
    "keeps about its share of the run",
)
MINIATURE_LOCALS = Departure(
    what="crops.local_area, crops.local_size",
    paper="local crops of 0.08 to 0.32 of the area at 96 px",
    here="0.2 to 0.5 of the area at 16 px",
    why="less of a 48 px drawing shows nothing of it",
)


def _without_local_crops(recipe: Recipe) -> Recipe:
    return recipe.varied(crops=recipe.crops.model_copy(update={"num_local": 0}))


def _with_local_crops(recipe: Recipe) -> Recipe:
    return recipe.varied(
        crops=recipe.crops.model_copy(update={"num_local": NUM_LOCAL_CROPS}),
        departures=(*_except("crops.num_local", recipe.departures), MINIATURE_LOCALS),
    )


def _except(setting: str, departures: tuple[Departure, ...]) -> tuple[Departure, ...]:
    """The departures without the one of `setting`, which the row takes back."""
    return tuple(each for each in departures if not each.what.startswith(setting))


TABLE_4 = (ablation_stablerep, ablation_ema, ablation_ema_ibot, ablation_ema_multicrop, ablation_all)
"""Rows of table 4, in its order."""
TABLE_5 = (ablation_supervised, ablation_simclr, ablation_stablerep)
"""Rows of table 5, in its order; the last is SynCLR's objective alone."""
MINIATURE_TABLE_4 = (
    rehearsal_stablerep,
    rehearsal_ema,
    rehearsal_ema_ibot,
    rehearsal_ema_multicrop,
    rehearsal_all,
)
"""Rows of table 4 in miniature."""
MINIATURE_TABLE_5 = (rehearsal_supervised, rehearsal_simclr, rehearsal_stablerep)
"""Rows of table 5 in miniature."""

ABLATIONS = (
    *TABLE_4,
    ablation_supervised,
    ablation_simclr,
    *MINIATURE_TABLE_4,
    rehearsal_supervised,
)
"""Every recipe of this module."""
