"""Under pytest the trainer's array shapes are checked at run time: jaxtyping annotations through beartype."""

import os

from hypothesis import settings
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers run side by side
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
install_import_hook("synclr_train", "beartype.beartype")

# Shared machines are slow at times: no example fails by the clock, and CI draws the same examples every time.
settings.register_profile("shared", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("shared")
