"""`python -m benchmarks.training_step`: what the objective costs on top of bare encoder passes.

Bare: the student's encoder forward and backward over all crops, and the teacher's encoder forward over the
global crops. Machinery is all else of a step: masks, heads, losses, Sinkhorn-Knopp, gradient norm, AdamW,
teacher update. Crops are random tensors: loading and augmentation are measured elsewhere.
"""

import time
from collections.abc import Callable
from typing import Literal

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from synclr_train.augment import Crops
from synclr_train.config import Recipe
from synclr_train.masking import draw_masks
from synclr_train.method import SynCLR
from synclr_train.process import prepare_process
from synclr_train.recipes import vit_s16
from synclr_train.training import computes_bfloat16

STEP = 10_000
TFLOP = 1e12


class PlainObjective:
    """The objective written down the straightforward way, on the networks of a `SynCLR` of its own."""

    def __init__(self, module: SynCLR) -> None:
        self.module, self.recipe = module, module.recipe
        self.optimiser = torch.optim.AdamW(module.student.parameters(), lr=1e-4, weight_decay=0.04)

    def step(self, crops: Crops, labels: Tensor) -> None:
        """One optimiser step."""
        ibot, student, teacher = self.recipe.ibot, self.module.student, self.module.teacher
        assert ibot is not None
        assert teacher is not None
        masks = draw_masks_of(crops, self.recipe)
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=self.module.uses_bfloat16):
            pooled, tokens = student["backbone"](crops.global_crops, masks)
            local_pooled, _ = student["backbone"](crops.local_crops)
            anchors = student["predictor"](student["projector"](pooled))
            local_anchors = student["predictor"](student["projector"](local_pooled))
            scores = student["ibot_head"](tokens[masks])
            with torch.no_grad():
                teacher_pooled, teacher_tokens = teacher["backbone"](crops.global_crops)
                keys = teacher["projector"](teacher_pooled)
                teacher_scores = teacher["ibot_head"](teacher_tokens[masks])
        loss = self._contrast(anchors, keys, labels, labels, leaves_own_out=True)
        for local in local_anchors.chunk(self.recipe.crops.num_local):
            loss = loss + self._contrast(local, keys, labels, labels) / self.recipe.crops.num_local
        targets = self._sinkhorn(teacher_scores.float(), 0.07)
        losses = -(targets * functional.log_softmax(scores.float() / ibot.student_temperature, dim=-1)).sum(
            -1
        )
        loss = loss + (losses * (1 / masks.sum(1)).unsqueeze(1).expand_as(masks)[masks]).sum() / (
            masks.any(1).sum()
        )
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), float("inf"))
        self.optimiser.step()
        with torch.no_grad():
            theirs = dict(student.named_parameters())
            for name, parameter in teacher.named_parameters():
                parameter.mul_(0.994).add_(0.006 * theirs[name])

    def _contrast(
        self,
        anchors: Tensor,
        keys: Tensor,
        labels: Tensor,
        key_labels: Tensor,
        *,
        leaves_own_out: bool = False,
    ) -> Tensor:
        anchors, keys = (
            functional.normalize(anchors.float(), dim=1),
            functional.normalize(keys.float(), dim=1),
        )
        logits = anchors @ keys.T / self.recipe.contrastive.temperature
        wanted = (labels[:, None] == key_labels[None]).float()
        if leaves_own_out:
            own = torch.eye(len(anchors), device=anchors.device)
            logits, wanted = logits - 1e9 * own, wanted * (1 - own)
        return -(wanted / wanted.sum(1, keepdim=True) * functional.log_softmax(logits, dim=1)).sum(1).mean()

    @torch.no_grad()
    def _sinkhorn(self, scores: Tensor, temperature: float) -> Tensor:
        assignment = torch.exp(scores / temperature).T
        prototypes, tokens = assignment.shape
        assignment = assignment / assignment.sum()
        for _ in range(3):
            assignment = assignment / assignment.sum(dim=1, keepdim=True) / prototypes
            assignment = assignment / assignment.sum(dim=0, keepdim=True) / tokens
        return (assignment * tokens).T


def draw_masks_of(crops: Crops, recipe: Recipe) -> Tensor:
    """Masks for the global crops, as a training step draws them."""
    assert recipe.ibot is not None
    return draw_masks(
        len(crops.global_crops),
        recipe.backbone.num_patches,
        image_share=recipe.ibot.masked_image_share,
        patch_share=recipe.ibot.masked_patch_share,
        generator=torch.Generator().manual_seed(0),
    ).to(crops.global_crops.device)


def own_step(module: SynCLR, optimiser: torch.optim.Optimizer, crops: Crops, rows: Tensor) -> None:
    """One step of this trainer, as `SynCLR` runs it under Lightning."""
    terms = module.loss_terms(crops, draw_masks_of(crops, module.recipe), rows, STEP)
    for group in optimiser.param_groups:
        group["lr"] = 1e-4
    optimiser.zero_grad()
    torch.stack(list(terms.values())).sum().backward()
    module.on_before_optimizer_step(optimiser)
    optimiser.step()
    module.update_teacher(0.994)


def bare_passes(module: SynCLR, crops: Crops, *, with_teacher: bool) -> None:
    """Encoder passes alone: forward and backward of the student, and forward of the teacher when asked."""
    student, teacher = module.student["backbone"], module.teacher
    assert teacher is not None
    student.zero_grad()
    with torch.autocast(crops.global_crops.device.type, torch.bfloat16, enabled=module.uses_bfloat16):
        total = student(crops.global_crops)[0].sum() + student(crops.local_crops)[0].sum()
        if with_teacher:
            with torch.no_grad():
                teacher["backbone"](crops.global_crops)
    total.float().backward()


def seconds_of(run: Callable[[], None]) -> float:
    """Wall time of one call, the device's queue included."""
    started = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measured rate of a large matrix product, in operations per second."""
    side = 8192 if device.type == "cuda" else 2048
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    left @ right
    fastest = min(seconds_of(lambda: torch.mm(left, right)) for _ in range(5))
    return 2 * side**3 / fastest


@click.command()
@click.option("--captions", default=4, show_default=True, help="Captions per step, 4 images each.")
@click.option("--rounds", default=8, show_default=True, help="Rounds; each times every variant once.")
@click.option(
    "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True
)
def main(captions: int, rounds: int, precision: Literal["auto", "float32", "bfloat16"]) -> None:
    """Time one training step against bare encoder passes and a straightforward implementation."""
    prepare_process()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = vit_s16()
    recipe = base.varied(batch=base.batch.model_copy(update={"captions": captions}))
    bfloat16 = computes_bfloat16(precision, device)
    modules = []
    for _ in range(2):
        torch.manual_seed(0)
        explicit = bfloat16 and device.type == "cpu"
        modules.append(SynCLR(recipe, uses_bfloat16=bfloat16, explicit_attention=explicit).to(device))
    num, size, local = recipe.batch.num_images, recipe.backbone.image_size, recipe.crops.local_size
    crops = Crops(
        torch.randn(num, 3, size, size, device=device),
        torch.randn(num * recipe.crops.num_local, 3, local, local, device=device),
    )
    rows = torch.arange(captions, device=device)
    optimiser, plain = modules[0].configure_optimizers(), PlainObjective(modules[1])
    labels = rows.repeat_interleave(recipe.batch.views_per_caption)
    variants: dict[str, Callable[[], None]] = {
        "student passes": lambda: bare_passes(modules[0], crops, with_teacher=False),
        "bare encoder passes": lambda: bare_passes(modules[0], crops, with_teacher=True),
        "this trainer": lambda: own_step(modules[0], optimiser, crops, rows),
        "straightforward": lambda: plain.step(crops, labels),
    }
    for run in variants.values():
        run()
    times = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            times[name].append(seconds_of(run))
    Console().print(step_table(times, f"{num} images, {device.type}, {'bf16' if bfloat16 else 'float32'}"))
    if device.type == "cuda":
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            variants["this trainer"]()
        rate = counter.get_total_flops() / min(times["this trainer"])
        limit = matrix_rate(device, torch.bfloat16)
        click.echo(f"{rate / TFLOP:.1f} TFLOP/s, {100 * rate / limit:.0f} % of the measured bf16 matrix rate")


def step_table(times: dict[str, list[float]], title: str) -> Table:
    """The fastest round of each variant, which other programs disturbed least, and its surplus over the passes."""
    fastest = {name: min(seconds) for name, seconds in times.items()}
    table = Table("variant", "seconds", "over bare passes", "over student passes", title=title)
    for name, seconds in fastest.items():
        surplus = [
            100 * (seconds / fastest[reference] - 1)
            for reference in ("bare encoder passes", "student passes")
        ]
        table.add_row(name, f"{seconds:.2f}", *(f"{value:+.0f} %" for value in surplus))
    return table


if __name__ == "__main__":
    main()
