"""What a GPU makes of the generators at the paper's sizes: `python -m benchmarks.gpu_generators`.

Architectures of the size of Llama 2 7B and Stable Diffusion 1.5 with random weights; nothing is downloaded. Tokens per
second, and seconds per 512 px image of 50 steps. `--size tiny` runs the same lines on any machine in seconds.
"""

from __future__ import annotations

import logging
import warnings
from argparse import Namespace

import click

from benchmarks import captions, images


@click.command()
@click.option("--size", type=click.Choice(["paper", "tiny"]), default="paper", help="Size of the networks.")
@click.option("--steps", "num_steps", type=int, default=None, help="Denoising steps: 50, or 4 for tiny.")
@click.option("--compile", "compiles", is_flag=True, help="Compile the denoising network.")
def main(size: str, num_steps: int | None, compiles: bool) -> None:
    """Print both tables."""
    import torch

    if size == "paper" and not torch.cuda.is_available():
        raise click.ClickException(
            "benchmarks.gpu_generators needs a GPU that torch sees; --size tiny tries the command without one."
        )
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    if size == "paper":
        captions.print_table("7b", "cuda", num_captions=512, num_plain=20, num_slots=64, num_rounds=2)
    else:
        captions.print_table("tiny", None, num_captions=16, num_plain=5, num_slots=8, num_rounds=1)
    click.echo()
    batches = images.SD15_BATCHES if size == "paper" else (4, 8)
    images.measure_batches(
        Namespace(
            size="sd15" if size == "paper" else "tiny",
            steps=num_steps or (50 if size == "paper" else 4),
            dtype=None,
            batch=None,
            batches=batches,
            compile=compiles,
        )
    )


if __name__ == "__main__":
    main()
