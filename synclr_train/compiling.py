"""What torch.compile needs of a machine, asked before a run begins and not in its first step."""

import os
import shutil

import torch


def require_compiler(device: torch.device) -> None:
    """Raises ValueError where torch.compile would find no C++ compiler for a CPU; a GPU is not looked at."""
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ValueError(
            f"`compiles` needs a C++ compiler on a CPU and finds no {compiler}: install g++, name another one in "
            "CXX, or set `compiles` to false (--no-compile)"
        )
