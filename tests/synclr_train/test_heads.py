"""The heads have the paper's layers, and the iBOT head's scores are cosines times a length."""

import torch
from torch import nn

from synclr_train.heads import IbotHead, build_predictor, build_projector
from synclr_train.recipes import vit_b16


def linears(head: nn.Module) -> list[tuple[int, int]]:
    return [
        (layer.in_features, layer.out_features) for layer in head.modules() if isinstance(layer, nn.Linear)
    ]


def test_projector_and_predictor_have_the_papers_shape():
    heads = vit_b16().heads
    projector, predictor = build_projector(768, heads), build_predictor(heads)
    assert linears(projector) == [(768, 4096), (4096, 4096), (4096, 256)]
    assert linears(predictor) == [(256, 4096), (4096, 256)]
    kinds = {type(layer) for layer in [*projector, *predictor]}
    assert kinds == {nn.Linear, nn.LayerNorm, nn.GELU}


def test_batch_norm_heads_take_their_statistics_from_the_batch():
    heads = vit_b16().heads.model_copy(update={"norm": "batch", "hidden_dim": 8, "output_dim": 4})
    projector = build_projector(6, heads)
    out = projector(torch.randn(32, 6))
    torch.testing.assert_close(out.mean(dim=0), torch.zeros(4), rtol=0, atol=1e-5)


def test_ibot_scores_are_cosines_times_learnt_lengths(whole_recipe):
    config = whole_recipe().ibot
    head = IbotHead(16, config)
    tokens = torch.randn(5, 16)
    assert head(tokens).shape == (5, config.num_prototypes)
    assert head(tokens).abs().max() <= 1 + 1e-5
    before = head(tokens)
    with torch.no_grad():
        head.directions.mul_(7)
        head.lengths.mul_(2)
    torch.testing.assert_close(head(tokens), 2 * before)


def test_the_papers_ibot_head():
    config = vit_b16().ibot
    head = IbotHead(768, config.model_copy(update={"num_prototypes": 10}))
    assert linears(head) == [(768, 2048), (2048, 2048), (2048, 256)]
    assert config.num_prototypes == 65_536
