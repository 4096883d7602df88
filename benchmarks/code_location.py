"""How long the code location takes to load as it grows: `python -m benchmarks.code_location [BUCKETS ...]`.

CPU seconds of a process of its own, so that a busy machine shows least; modules are compiled before, as they are after
the first load. What Dagster and the table libraries need by themselves stands apart from what this package adds.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

COUNTS = (3, 100, 1000, 4096)
PROGRAM = """
import os, resource, time
times = [time.process_time()]
def lap():
    times.append(time.process_time())
import dagster
lap()
import deltalake, pyarrow.compute, pyarrow.dataset
lap()
from synclr_assets.definitions import build_definitions
lap()
definitions = build_definitions(dict(os.environ))
lap()
definitions.get_repository_def()
lap()
print(*(after - before for before, after in zip(times, times[1:])),
      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
COLUMNS = ("buckets", "dagster s", "tables s", "synclr s", "build s", "resolve s", "peak MiB")


def write_buckets(folder: Path, count: int) -> None:
    """Bucket files of three concepts each."""
    folder.mkdir(parents=True)
    for index in range(count):
        text = "captions: 36000\nconcepts: [apple, mug, {name: quince, weight: 2}]\n"
        (folder / f"b{index:04d}.yaml").write_text(text)


def measure(count: int, bytecode: Path) -> list[float]:
    """CPU seconds of importing Dagster, Delta and Arrow, and ours; of reading the files and building, of resolving;
    peak MiB."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "concepts"
        write_buckets(folder, count)
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "SYNCLR_CONCEPTS": str(folder),
            "SYNCLR_STORE": f"{root}/store",
            "PYTHONPYCACHEPREFIX": str(bytecode),
        }
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    return [float(value) for value in answer.stdout.split()]


def main(counts: tuple[int, ...] = COUNTS) -> None:
    """Print one line per number of buckets."""
    print("".join(f"{column:>11}" for column in COLUMNS))
    with tempfile.TemporaryDirectory() as bytecode:
        measure(1, Path(bytecode))
        for count in counts:
            *seconds, memory = measure(count, Path(bytecode))
            print(f"{count:>11}" + "".join(f"{one:>11.2f}" for one in seconds) + f"{memory:>11.0f}")


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or COUNTS)
