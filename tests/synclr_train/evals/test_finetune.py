"""Fine-tuning learns, its schedule is the published log's, and a killed run ends with the same weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from synclr_train.evals import finetune
from synclr_train.evals.finetune import classifier_of, learning_rate_at, parameter_groups, run_finetune
from synclr_train.evals.finetune_recipes import finetune_vit_b16, finetune_vit_l14, get_finetune_recipe
from synclr_train.evals.outcomes import outcomes_file
from synclr_train.evals.scores import EvaluationError, read_scores

SMALL = finetune_vit_b16().model_copy(
    update={
        "epochs": 8,
        "warmup_epochs": 1,
        "batch_size": 12,
        "base_learning_rate": 0.04,
        "ema_decay": 0.5,
        "mixup_alpha": 0.1,
        "cutmix_alpha": 0.1,
    }
)


def test_it_learns_colours(encoder_dir, image_folder, tmp_path):
    scores = run_finetune(encoder_dir, tmp_path, dataset=f"folder:{image_folder}", recipe=SMALL)
    assert scores == read_scores(tmp_path)
    assert [score.metric for score in scores] == ["finetune_accuracy", "finetune_average_accuracy"]
    assert scores[0].value > 0.8
    assert len({score.protocol_fingerprint for score in scores}) == 1
    with np.load(tmp_path / outcomes_file(scores[0].protocol_fingerprint), allow_pickle=False) as arrays:
        for score in scores:
            assert arrays[f"{score.metric}.hits"].shape == (1, score.num_test, 1)
            assert arrays[f"{score.metric}.hits"].mean() == pytest.approx(score.value)


def test_a_killed_run_ends_with_the_same_weights(encoder_dir, image_folder, tmp_path, monkeypatch):
    short = SMALL.model_copy(update={"epochs": 2})
    dataset = f"folder:{image_folder}"
    run_finetune(encoder_dir, tmp_path / "whole", dataset=dataset, recipe=short)
    train_epoch = finetune.train_epoch

    def killed(*arguments):
        if arguments[6] == 1:
            raise KeyboardInterrupt
        return train_epoch(*arguments)

    monkeypatch.setattr(finetune, "train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        run_finetune(encoder_dir, tmp_path / "killed", dataset=dataset, recipe=short)
    monkeypatch.undo()
    run_finetune(encoder_dir, tmp_path / "killed", dataset=dataset, recipe=short, num_workers=1)
    whole, continued = (load_file(tmp_path / name / "finetuned.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], continued[name]) for name in whole)
    with pytest.raises(EvaluationError, match="belongs to another encoder, data set or recipe"):
        run_finetune(encoder_dir, tmp_path / "killed", dataset=dataset, recipe=SMALL)


def test_layers_further_from_the_labels_learn_more_slowly(encoder_dir):
    model = classifier_of(encoder_dir, 3, SMALL)
    scale_of = {
        id(parameter): group["lr_scale"]
        for group in parameter_groups(model, SMALL)
        for parameter in group["params"]
    }
    named = dict(model.named_parameters())
    depth = len(model.blocks)
    assert scale_of[id(named["head.weight"])] == 1
    assert scale_of[id(named[f"blocks.{depth - 1}.attn.qkv.weight"])] == pytest.approx(0.65)
    assert scale_of[id(named["pos_embed"])] == pytest.approx(0.65 ** (depth + 1))


def test_the_schedule_is_the_published_logs():
    # Mean rates of epochs 1 and 50 in the authors' log of ViT-L/14: 1.998e-05 and 1.081e-06.
    recipe = finetune_vit_l14()
    mean_of_first = sum(learning_rate_at(step / 1000, recipe) for step in range(1000)) / 1000
    mean_of_last = sum(learning_rate_at(49 + step / 1000, recipe) for step in range(1000)) / 1000
    assert mean_of_first == pytest.approx(1.998e-5, rel=2e-3)
    assert mean_of_last == pytest.approx(1.081e-6, rel=2e-3)
    assert learning_rate_at(5.0, recipe) == pytest.approx(2e-4)


def test_recipes_are_named_and_shrink_with_their_warm_up():
    shorter = get_finetune_recipe("finetune_vit_b16", epochs=10, batch_size=64)
    assert (shorter.epochs, shorter.warmup_epochs, shorter.batch_size) == (10, 2, 64)
    with pytest.raises(ValueError, match=r"recipe 'vit_b16' does not exist: choose one of finetune_vit_b16"):
        get_finetune_recipe("vit_b16")


def test_too_few_images_for_a_batch_are_told(encoder_dir, image_folder, tmp_path):
    with pytest.raises(EvaluationError, match="fewer than a batch of 1024"):
        run_finetune(encoder_dir, tmp_path, dataset=f"folder:{image_folder}", recipe=finetune_vit_b16())
