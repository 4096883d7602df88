"""A process that ends right after a scan ends well. Without the wait, about every sixth one aborts."""

import subprocess
import sys

from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import Stages

NUM_ENDS = 12
PROGRAM = """
import sys
from synclr_assets.store.store import Store
tables = Store(sys.argv[1]).tables
print(sum(tables.read(name).num_rows for name in ("shards", "images", "image_bytes") * 3))
"""


def test_an_end_right_after_a_scan_is_no_abort(stages: Stages) -> None:
    unit = Unit("fruit", 0)
    stages.run_all(unit)
    root = stages.store.location.uri
    for _ in range(NUM_ENDS):
        ended = subprocess.run([sys.executable, "-c", PROGRAM, root], capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert int(ended.stdout) > 0
