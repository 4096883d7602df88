"""How long the code location and the status take to load as the number of buckets grows.

`python -m benchmarks.code_location [COUNT ...]`: CPU seconds of a process of its own, so that a busy machine shows.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

COUNTS = (3, 100, 1000, 4096)
PROGRAM = """
import os, resource, time
started = time.process_time()
from synclr_assets.definitions import build_definitions
imported = time.process_time()
definitions = build_definitions(dict(os.environ))
built = time.process_time()
definitions.get_repository_def()
print(imported - started, built - imported, time.process_time() - built,
      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def write_buckets(folder: Path, count: int) -> None:
    """Bucket files of three concepts each."""
    folder.mkdir(parents=True)
    for index in range(count):
        text = "captions: 36000\nconcepts: [apple, mug, {name: quince, weight: 2}]\n"
        (folder / f"b{index:04d}.yaml").write_text(text)


def measure(count: int) -> tuple[float, float, float, float]:
    """CPU seconds of importing, of reading the files and building, of resolving; peak MiB."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "concepts"
        write_buckets(folder, count)
        environment = {**os.environ, "SYNCLR_CONCEPTS": str(folder), "SYNCLR_STORE": f"{root}/store"}
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    imported, built, resolved, memory = map(float, answer.stdout.split())
    return imported, built, resolved, memory


def main(counts: tuple[int, ...] = COUNTS) -> None:
    """Print one line per number of buckets."""
    print(f"{'buckets':>8} {'import s':>9} {'build s':>8} {'resolve s':>10} {'peak MiB':>9}")
    for count in counts:
        imported, built, resolved, memory = measure(count)
        print(f"{count:>8} {imported:>9.2f} {built:>8.2f} {resolved:>10.2f} {memory:>9.0f}")


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or COUNTS)
