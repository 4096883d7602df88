"""Runs a backfill of captions and kills its own process inside the second bucket, after a commit of it."""

import os
import signal

from rich.console import Console

from synclr_assets.commands.backfill import make_stages
from synclr_assets.defs.corpus import captions

KILLED_BUCKET = "weave"
_write = captions.write_captions


def _write_then_die(store, unit, *arguments, on_progress, **options):  # type: ignore[no-untyped-def]
    def die(done: int, total: int) -> None:
        on_progress(done, total)
        if unit.bucket == KILLED_BUCKET:
            os.kill(os.getpid(), signal.SIGKILL)

    return _write(store, unit, *arguments, on_progress=die, **options)


if __name__ == "__main__":
    captions.write_captions = _write_then_die
    make_stages(Console(), "all", ("letters", "weave", "yard"), ("captions",))
