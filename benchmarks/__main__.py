"""`python -m benchmarks`: every benchmark in turn, each a table of ratios measured in one run."""

import runpy
import sys

BENCHMARKS = (
    "benchmarks.captions",
    "benchmarks.images",
    "benchmarks.loader",
    "benchmarks.loader_growth",
    "benchmarks.orchestration",
    "benchmarks.probes",
    "benchmarks.training_step",
)

for name in BENCHMARKS:
    print(f"\n== {name}", flush=True)
    sys.argv = [name]
    runpy.run_module(name, run_name="__main__")
