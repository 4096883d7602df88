"""Which executor a profile uses."""

from collections.abc import Mapping

import dagster as dg

PRELOADED = ["dagster", "pyarrow", "numpy"]


def executor_of(environment: Mapping[str, str]) -> dg.ExecutorDefinition:
    """One process per step, forked from a server that has the slow imports done already."""
    return dg.multiprocess_executor.configured(
        {
            "max_concurrent": 0,
            "start_method": {"forkserver": {"preload_modules": PRELOADED}},
        },
        name="forkserver",
    )
