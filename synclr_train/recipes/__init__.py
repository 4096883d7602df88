"""Named, complete recipes: the registry. The numbers stand in `paper`, `rehearsal` and `ablations`.

Imports no torch: an orchestrator may read recipes without the trainer's dependencies.
"""

from collections.abc import Callable
from types import MappingProxyType

from synclr_train.config import Departure, Recipe
from synclr_train.recipes.ablations import ABLATIONS
from synclr_train.recipes.paper import vit_b16, vit_l14, vit_s16
from synclr_train.recipes.rehearsal import rehearsal, rehearsal_simclr

__all__ = [
    "RECIPES",
    "Departure",
    "Recipe",
    "get_recipe",
    "rehearsal",
    "rehearsal_simclr",
    "vit_b16",
    "vit_l14",
    "vit_s16",
]

RECIPES: MappingProxyType[str, Callable[[], Recipe]] = MappingProxyType(
    {
        recipe.__name__: recipe
        for recipe in (rehearsal, rehearsal_simclr, vit_s16, vit_b16, vit_l14, *ABLATIONS)
    }
)
"""Every named recipe, by name."""


def get_recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises ValueError, listing the known names."""
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} does not exist: choose one of {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()
