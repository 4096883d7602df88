"""Two processes with half a batch each have the loss and the gradient of one process with the joined batch.

Keys are gathered, Sinkhorn-Knopp is balanced over all devices, and DDP's mean over processes does the rest.
"""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from synclr_train.augment import Crops
from synclr_train.masking import draw_masks
from tests.synclr_train import ranks
from tests.synclr_train.ranks import Ranks

NUM_RANKS = 2
TOLERANCE = 2e-6
"""Of the greatest number of each tensor. The greatest errors seen: losses 2.4e-7, assignments 4.6e-7, gradients
with respect to anchors, keys and scores 9.5e-7."""
THROUGH_THE_NETWORKS = 5e-5
"""The same for each parameter's gradient, where sums of many nearly cancel: 4.0e-6 seen."""


@pytest.fixture(scope="module")
def processes(tmp_path_factory) -> Iterator[Ranks]:
    """Two processes for all examples."""
    group = Ranks(tmp_path_factory.mktemp("ranks"), NUM_RANKS)
    yield group
    group.close()


def error_of(measured: Tensor, expected: Tensor) -> float:
    """The greatest difference, as a part of the greatest expected number."""
    return float((measured - expected).abs().max() / expected.abs().max().clamp(min=1e-4))


def in_crop_order(parts: list[Tensor], num_crops: int) -> Tensor:
    """The crops of all processes as one process holds them: the first crop of every image first."""
    return torch.cat([part.unflatten(0, (num_crops, -1)) for part in parts], dim=1).flatten(0, 1)


@settings(max_examples=40, deadline=None)
@given(
    captions=st.integers(1, 4),
    views=st.integers(2, 4),
    dim=st.integers(2, 40),
    patches=st.integers(1, 40),
    prototypes=st.integers(2, 200),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_losses_of_random_tensors(processes, captions, views, dim, patches, prototypes, seed):
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for rank in range(NUM_RANKS):
        labels = torch.arange(captions).repeat_interleave(views) + rank * captions
        # As many images are masked in each process, as draw_masks has it; their patches may differ in number.
        masks = torch.rand(len(labels), patches, generator=generator) < 0.5
        masks[:, 0] = True
        masks[len(labels) // 2 + 1 :] = False
        shape = (int(masks.sum()), prototypes)
        drawn = [torch.randn(len(labels), dim, generator=generator) for _ in range(2)]
        cosines = [torch.rand(shape, generator=generator) * 2 - 1 for _ in range(2)]
        parts.append((*drawn, labels, *cosines, masks))
    joined = tuple(torch.cat(each) for each in zip(*parts, strict=True))
    values, gradients = ranks.loss_functions(*joined)
    answers = processes.each("loss_functions", parts)
    for name in ("contrast", "patches"):
        mean = torch.stack([answer[0][name] for answer in answers]).mean()
        assert error_of(mean, values[name]) < TOLERANCE, name
    assert error_of(torch.cat([answer[0]["targets"] for answer in answers]), values["targets"]) < TOLERANCE
    for name, gradient in gradients.items():
        # A process's own rows: the mean over processes divides what only one of them has.
        measured = torch.cat([answer[1][name] for answer in answers]) / NUM_RANKS
        assert error_of(measured, gradient) < TOLERANCE, name


@pytest.mark.parametrize("objective", ["synclr", "stablerep", "simclr"])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    captions=st.integers(1, 3),
    views=st.integers(2, 3),
    num_local=st.integers(0, 2),
    exclude=st.booleans(),
    crops_per_pass=st.sampled_from([None, 2]),
    seed=st.integers(0, 2**31 - 1),
)
def test_the_terms_and_gradients_of_the_method(
    processes, whole_recipe, objective, captions, views, num_local, exclude, crops_per_pass, seed
):
    base = whole_recipe()
    num_global = 2 if objective == "simclr" else 1
    recipe = base.varied(
        objective="simclr" if objective == "simclr" else "synclr",
        ema_teacher=objective == "synclr",
        export_network="teacher" if objective == "synclr" else "student",
        ibot=base.ibot if objective == "synclr" else None,
        backbone=base.backbone.model_copy(update={"drop_path_rate": 0.0}),
        batch=base.batch.model_copy(
            update={"captions": NUM_RANKS * captions, "views_per_caption": views},
        ),
        crops=base.crops.model_copy(update={"num_global": num_global, "num_local": num_local}),
        contrastive=base.contrastive.model_copy(
            update={"exclude_own_image_for_locals": exclude and objective != "simclr"}
        ),
        crops_per_pass=crops_per_pass,
    )
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(50, generator=generator)[: NUM_RANKS * captions].split(captions)
    num_images, side, local_side = captions * views, recipe.backbone.image_size, recipe.crops.local_size
    parts = []
    for rank in range(NUM_RANKS):
        crops = Crops(
            torch.randn(num_global * num_images, 3, side, side, generator=generator),
            torch.randn(num_local * num_images, 3, local_side, local_side, generator=generator)
            if num_local
            else None,
        )
        masks = None
        if recipe.ibot is not None:
            num_patches = recipe.backbone.num_patches
            masks = draw_masks(num_images, num_patches, image_share=0.5, patch_share=0.5, generator=generator)
        parts.append((recipe, crops, masks, rows[rank], seed))
    joined = Crops(
        in_crop_order([part[1].global_crops for part in parts], num_global),
        in_crop_order([part[1].local_crops for part in parts], num_local) if num_local else None,
    )
    masks = torch.cat([part[2] for part in parts]) if recipe.ibot is not None else None
    values, gradients = ranks.method(recipe, joined, masks, torch.cat(rows), seed)
    answers = processes.each("method", parts)
    for name, value in values.items():
        mean = torch.stack([terms[name] for terms, _ in answers]).mean()
        assert error_of(mean, value) < TOLERANCE, name
    assert {name for answer in answers for name in answer[1]} == set(gradients)
    for name, gradient in gradients.items():
        mean = torch.stack([found[name] for _, found in answers]).mean(dim=0)
        assert error_of(mean, gradient) < THROUGH_THE_NETWORKS, name
