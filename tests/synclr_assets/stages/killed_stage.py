"""Runs one stage and kills its own process by SIGKILL right before or after the n-th write of a table or file.

Started by test_interruption.py: `python killed_stage.py CONCEPTS STORE BUCKET STAGE N before|after`.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from synclr_assets.concept_bank.bank import read_bank
from synclr_assets.store.blobs import Blobs
from synclr_assets.store.store import Store
from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import Stages


def main(concepts: str, root: str, bucket: str, stage: str, fatal_write: str, moment: str) -> None:
    """Run the stage; exits 0 where it had fewer writes than the fatal one."""
    writes = 0

    def fatally(original: Any) -> Any:
        def write(*args: Any, **options: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == int(fatal_write) and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **options)
            if writes == int(fatal_write):
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return write

    Tables.append = fatally(Tables.append)  # type: ignore[method-assign]
    Blobs.put_file = fatally(Blobs.put_file)  # type: ignore[method-assign]
    Stages(read_bank(Path(concepts)), Store(root)).run(stage, Unit(bucket, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
