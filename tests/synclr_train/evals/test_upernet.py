"""Heads: four scales from one, logits at the finest of them, every scale and every pooled grid counts."""

import pytest
import torch

from synclr_train.evals.upernet import AuxiliaryHead, LinearMapHead, PyramidPooling, ScalePyramid, UperNet


@pytest.mark.parametrize("side", [8, 9])
def test_one_scale_becomes_four(side):
    maps = ScalePyramid(4)([torch.randn(2, 4, side, side) for _ in range(4)])
    assert [tuple(each.shape) for each in maps] == [
        (2, 4, size, size) for size in (4 * side, 2 * side, side, side // 2)
    ]


def test_logits_have_the_finest_scale():
    maps = [torch.randn(2, 6, size, size) for size in (16, 8, 4, 2)]
    assert UperNet(6, 5, 3, (1, 2), 0.1)(maps).shape == (2, 3, 16, 16)
    assert AuxiliaryHead(6, 5, 3, 0.1)(maps[2]).shape == (2, 3, 4, 4)
    assert LinearMapHead(6, 2, 3, 0.0)([maps[0], maps[0]]).shape == (2, 3, 16, 16)


def test_every_scale_reaches_the_logits():
    torch.manual_seed(0)
    head = UperNet(6, 5, 3, (1, 2), 0.0).eval()
    maps = [torch.randn(1, 6, size, size, requires_grad=True) for size in (16, 8, 4, 2)]
    head(maps).square().sum().backward()
    assert all(each.grad is not None and float(each.grad.abs().sum()) > 0 for each in maps)


def test_pooling_brings_what_lies_far_away_to_every_cell():
    torch.manual_seed(0)
    pooling = PyramidPooling(3, 4, (1,)).eval()
    features = torch.randn(1, 3, 12, 12)
    changed = features.clone()
    changed[:, :, 0, 0] += 100
    assert not torch.allclose(pooling(features)[..., -1, -1], pooling(changed)[..., -1, -1])


def test_scales_are_merged_top_down_as_the_feature_pyramid_says():
    """The fused input is recomputed by hand from the head's own layers."""
    torch.manual_seed(1)
    head = UperNet(3, 4, 2, (1, 2), 0.0).eval()
    maps = [torch.randn(1, 3, size, size) for size in (16, 8, 4, 2)]

    def enlarged(each, size):
        return torch.nn.functional.interpolate(each, (size, size), mode="bilinear", align_corners=False)

    top = head.pooling(maps[3])
    third = head.laterals[2](maps[2]) + enlarged(top, 4)
    second = head.laterals[1](maps[1]) + enlarged(third, 8)
    first = head.laterals[0](maps[0]) + enlarged(second, 16)
    levels = [head.smoothing[0](first), head.smoothing[1](second), head.smoothing[2](third), top]
    expected = head.classify(head.fuse(torch.cat([enlarged(level, 16) for level in levels], 1)))
    torch.testing.assert_close(head(maps), expected)
