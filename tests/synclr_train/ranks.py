"""Processes of one gloo group that stay alive between examples: `python ranks.py RANK NUM_RANKS STORE`.

Each reads pickled pairs (name of a work, its part) from stdin and answers with what the work returned or raised.
"""

import os
import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from synclr_train.augment import Crops
from synclr_train.config import Recipe
from synclr_train.losses import gather, masked_patch_cross_entropy, multi_positive_contrastive, sinkhorn_knopp
from synclr_train.method import SynCLR

LONGEST_WAIT = timedelta(seconds=60)


def loss_functions(
    anchors: Tensor, keys: Tensor, labels: Tensor, scores: Tensor, wanted: Tensor, masks: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Both losses of this process's part of a batch, and their gradients; keys have gradients, too."""
    anchors, keys, scores = (each.clone().requires_grad_() for each in (anchors, keys, scores))
    images = torch.arange(len(keys)) + (dist.get_rank() * len(keys) if dist.is_initialized() else 0)
    excluded = images.unsqueeze(1) == gather(images)
    contrast = multi_positive_contrastive(
        anchors, gather(keys, with_gradient=True), labels, gather(labels), excluded, temperature=0.08
    )
    targets = sinkhorn_knopp(wanted, temperature=0.05, num_iterations=3)
    patches = masked_patch_cross_entropy(scores, targets, masks, student_temperature=0.1)
    (contrast + patches).backward()
    leaves = {"anchors": anchors, "keys": keys, "scores": scores}
    gradients = {name: each.grad for name, each in leaves.items() if each.grad is not None}
    return {"contrast": contrast.detach(), "patches": patches.detach(), "targets": targets}, gradients


def method(
    recipe: Recipe, crops: Crops, masks: Tensor | None, rows: Tensor, seed: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The terms of `SynCLR.loss_terms` for this process's part of a batch, and every parameter's gradient."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    untrained = type("Untrained", (SynCLR,), {"global_rank": rank})
    torch.manual_seed(seed)
    module = untrained(recipe, uses_bfloat16=False, explicit_attention=False)
    if module.teacher is not None:
        with torch.no_grad():
            for parameter in module.teacher.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
    # In float32 the networks magnify the rounding of another batch size; the losses are float32 in any case.
    module.double()
    local_crops = None if crops.local_crops is None else crops.local_crops.double()
    terms = module.loss_terms(Crops(crops.global_crops.double(), local_crops), masks, rows, recipe.steps - 1)
    torch.stack(list(terms.values())).sum().backward()
    gradients = {name: each.grad for name, each in module.student.named_parameters() if each.grad is not None}
    return {name: each.detach() for name, each in terms.items()}, gradients


WORKS = {work.__name__: work for work in (loss_functions, method)}


class Ranks:
    """The processes of a group, as one that starts them sees them."""

    def __init__(self, folder: Path, num_ranks: int) -> None:
        """`folder` must be empty: the processes find one another there."""
        command = [sys.executable, __file__]
        self.processes = [
            subprocess.Popen(
                [*command, str(rank), str(num_ranks), str(folder / "store")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for rank in range(num_ranks)
        ]

    def each(self, work: str, parts: list[tuple[Any, ...]]) -> list[Any]:
        """What `work` returns in every process for its part; raises what it raised there."""
        for process, part in zip(self.processes, parts, strict=True):
            assert process.stdin is not None
            pickle.dump((work, part), process.stdin)
            process.stdin.flush()
        answers = []
        for process in self.processes:
            assert process.stdout is not None
            answers.append(pickle.load(process.stdout))
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.kill()
            process.communicate()


def main(rank: str, num_ranks: str, store: str) -> None:
    """Answer until this process is killed."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=int(rank), world_size=int(num_ranks), timeout=LONGEST_WAIT
    )
    while True:
        name, part = pickle.load(sys.stdin.buffer)
        answer: Any
        try:
            answer = WORKS[name](*part)
        except Exception as error:  # noqa: BLE001  # raised again in the test
            answer = error
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
