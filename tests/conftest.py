"""Under pytest the trainer's array shapes are checked at run time: jaxtyping annotations through beartype."""

import os

from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers run side by side
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
install_import_hook("synclr_train", "beartype.beartype")
