"""The total loss of a step: its terms, what the teacher does, and that devices add up to one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from synclr_train import method
from synclr_train.augment import Crops
from synclr_train.losses import masked_patch_cross_entropy, multi_positive_contrastive, sinkhorn_knopp
from synclr_train.method import SynCLR


def batch_of(recipe, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    num, size = recipe.batch.num_images, recipe.backbone.image_size
    global_crops = torch.randn(num * recipe.crops.num_global, 3, size, size, generator=generator)
    local_crops = None
    if recipe.crops.num_local:
        side = recipe.crops.local_size
        local_crops = torch.randn(num * recipe.crops.num_local, 3, side, side, generator=generator)
    masks = torch.zeros(len(global_crops), recipe.backbone.num_patches, dtype=torch.bool)
    masks[::2, :2] = True
    return Crops(global_crops, local_crops), masks, torch.arange(recipe.batch.captions)


def build(recipe) -> SynCLR:
    torch.manual_seed(0)
    return SynCLR(recipe, uses_bfloat16=False, explicit_attention=False)


def test_the_terms_are_those_of_the_equations(whole_recipe):
    """Student and teacher are run by hand and fed to the losses with labels and masks written out."""
    recipe = whole_recipe()
    module = build(recipe).eval()
    crops, masks, rows = batch_of(recipe)
    terms = module.loss_terms(crops, masks, rows, step=2)
    labels = torch.arange(8).repeat_interleave(2)
    student, teacher = module.student, module.teacher
    pooled, tokens = student["backbone"](crops.global_crops, masks)
    keys, teacher_tokens = teacher["backbone"](crops.global_crops)
    keys = teacher["projector"](keys)
    anchors = student["predictor"](student["projector"](pooled))
    local = student["predictor"](student["projector"](student["backbone"](crops.local_crops)[0]))
    own = torch.eye(16, dtype=torch.bool)
    expected_global = multi_positive_contrastive(anchors, keys, labels, labels, own, temperature=0.08)
    expected_local = multi_positive_contrastive(local, keys, labels.repeat(2), labels, None, temperature=0.08)
    targets = sinkhorn_knopp(teacher["ibot_head"](teacher_tokens[masks]), temperature=0.055, num_iterations=3)
    scores = student["ibot_head"](tokens[masks])
    expected_ibot = masked_patch_cross_entropy(scores, targets, masks, student_temperature=0.1)
    assert set(terms) == {"global", "local", "ibot"}
    torch.testing.assert_close(terms["global"], expected_global)
    torch.testing.assert_close(terms["local"], expected_local)
    torch.testing.assert_close(terms["ibot"], expected_ibot)


def test_local_anchors_can_leave_their_own_image_out(whole_recipe):
    recipe = whole_recipe()
    contrastive = recipe.contrastive.model_copy(update={"exclude_own_image_for_locals": True})
    batch = batch_of(recipe)
    keeping = build(recipe).eval().loss_terms(*batch, step=0)
    leaving = build(recipe.varied(contrastive=contrastive)).eval().loss_terms(*batch, step=0)
    torch.testing.assert_close(keeping["global"], leaving["global"])
    assert not torch.isclose(keeping["local"], leaving["local"])


def test_simclr_pulls_crops_of_one_image_together(tiny_recipe):
    base = tiny_recipe()
    recipe = base.varied(
        objective="simclr",
        ema_teacher=False,
        export_network="student",
        crops=base.crops.model_copy(update={"num_global": 2}),
    )
    module = build(recipe)
    crops, _, rows = batch_of(recipe)
    twins = Crops(crops.global_crops[:16].repeat(2, 1, 1, 1), None)
    pooled, _ = module.student["backbone"](twins.global_crops)
    embeddings = module.student["projector"](pooled)
    labels = torch.arange(16).repeat(2)
    own = torch.eye(32, dtype=torch.bool)
    expected = multi_positive_contrastive(embeddings, embeddings, labels, labels, own, temperature=0.08)
    torch.testing.assert_close(module.loss_terms(twins, None, rows, step=0)["global"], expected)


def test_no_gradient_reaches_the_teacher(whole_recipe):
    recipe = whole_recipe()
    module = build(recipe)
    sum(module.loss_terms(*batch_of(recipe), step=0).values()).backward()
    assert all(parameter.grad is None for parameter in module.teacher.parameters())
    missing = [name for name, parameter in module.student.named_parameters() if parameter.grad is None]
    assert missing == []


def test_the_teacher_starts_as_the_student_and_has_no_predictor(whole_recipe):
    module = build(whole_recipe())
    student = module.student.state_dict()
    for name, tensor in module.teacher.state_dict().items():
        torch.testing.assert_close(tensor, student[name])
    assert "predictor" not in module.teacher


def test_vectors_do_not_decay(whole_recipe):
    module = build(whole_recipe())
    decaying, others = module.configure_optimizers().param_groups
    assert all(parameter.ndim > 1 for parameter in decaying["params"])
    assert all(parameter.ndim <= 1 for parameter in others["params"])
    counted = len(decaying["params"]) + len(others["params"])
    assert counted == len(list(module.student.parameters()))


@pytest.mark.parametrize("spared", [{"crops_per_pass": 3}, {"recompute_activations": True}])
def test_sparing_memory_changes_neither_loss_nor_gradient(whole_recipe, spared):
    """The batch passes in parts, or activations are made twice: the contrastive batch stays whole."""
    recipe = whole_recipe(backbone=whole_recipe().backbone.model_copy(update={"drop_path_rate": 0.0}))
    results = []
    for each in (recipe, recipe.varied(**spared)):
        module = build(each)
        terms = module.loss_terms(*batch_of(each), step=1)
        sum(terms.values()).backward()
        gradients = {name: parameter.grad for name, parameter in module.student.named_parameters()}
        results.append(({name: term.detach() for name, term in terms.items()}, gradients))
    for whole, parts in zip(*results, strict=True):
        assert set(whole) == set(parts)
        for name in whole:
            torch.testing.assert_close(parts[name], whole[name], rtol=1e-5, atol=2e-5, msg=name)


def test_a_part_is_recomputed_with_its_own_stochastic_depth(whole_recipe, monkeypatch):
    """The same parts with their activations kept give the same gradients: noise is not drawn anew."""
    backbone = whole_recipe().backbone.model_copy(update={"drop_path_rate": 0.5})
    recipe = whole_recipe(backbone=backbone, crops_per_pass=5)
    gradients = []
    for _ in range(2):
        module = build(recipe)
        torch.manual_seed(7)
        sum(module.loss_terms(*batch_of(recipe), step=1).values()).backward()
        gradients.append({name: parameter.grad for name, parameter in module.student.named_parameters()})
        monkeypatch.setattr(method, "checkpoint", lambda encode, *inputs, use_reentrant: encode(*inputs))
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-5, atol=2e-5, msg=name)


TWO_PROCESSES = """
import sys, torch, torch.distributed as dist
from pathlib import Path
from synclr_train.augment import Crops
from synclr_train.config import Recipe
from synclr_train.method import SynCLR

folder, rank = Path(sys.argv[1]), int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=2)
recipe = Recipe.model_validate_json((folder / "recipe.json").read_text())
whole = torch.load(folder / "batch.pt", weights_only=True)

def mine(tensor, copies):
    parts = tensor.view(copies, 2, -1, *tensor.shape[1:])
    return parts[:, rank].reshape(-1, *tensor.shape[1:])

torch.manual_seed(0)
module = SynCLR(recipe, uses_bfloat16=False, explicit_attention=False).eval()
SynCLR.global_rank = rank
local = mine(whole["local"], recipe.crops.num_local) if "local" in whole else None
masks = mine(whole["masks"], recipe.crops.num_global) if recipe.ibot else None
crops = Crops(mine(whole["global"], recipe.crops.num_global), local)
terms = module.loss_terms(crops, masks, mine(whole["rows"], 1), step=1)
sum(terms.values()).backward()
result = {name: term.detach() for name, term in terms.items()}
for name, parameter in module.student.named_parameters():
    result["grad " + name] = parameter.grad
for tensor in result.values():
    dist.all_reduce(tensor)
    tensor /= 2
if rank == 0:
    torch.save(result, folder / "result.pt")
dist.destroy_process_group()
"""


@pytest.mark.parametrize("variant", ["everything", "without a teacher"])
def test_two_processes_equal_one_with_the_joined_batch(tmp_path, whole_recipe, variant):
    """Gathered keys and Sinkhorn over all devices: same losses, same gradients."""
    recipe = whole_recipe(backbone=whole_recipe().backbone.model_copy(update={"drop_path_rate": 0.0}))
    if variant == "without a teacher":
        recipe = recipe.varied(ibot=None, ema_teacher=False, export_network="student")
    crops, masks, rows = batch_of(recipe)
    module = build(recipe).eval()
    terms = module.loss_terms(crops, masks if recipe.ibot else None, rows, step=1)
    sum(terms.values()).backward()
    expected = {name: term.detach() for name, term in terms.items()}
    expected |= {f"grad {name}": each.grad for name, each in module.student.named_parameters()}
    batch = {"global": crops.global_crops, "local": crops.local_crops, "masks": masks, "rows": rows}
    torch.save(batch, tmp_path / "batch.pt")
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    (tmp_path / "worker.py").write_text(TWO_PROCESSES)
    command = [sys.executable, str(tmp_path / "worker.py"), str(tmp_path)]
    workers = [subprocess.Popen([*command, str(rank)], cwd=Path.cwd()) for rank in range(2)]
    assert [worker.wait(timeout=400) for worker in workers] == [0, 0]
    measured = torch.load(tmp_path / "result.pt", weights_only=True)
    assert set(measured) == set(expected)
    for name, tensor in expected.items():
        np.testing.assert_allclose(measured[name], tensor, rtol=2e-4, atol=2e-5, err_msg=name)
