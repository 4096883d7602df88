"""Components are those of a plain SVD; the foreground is found without labels."""

import numpy as np
import torch

from synclr_train.evals.pca import patch_colours, principal_components


def test_components_are_those_of_a_plain_svd():
    rows = torch.randn(50, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    centred = (rows - rows.mean(0)).numpy()
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:3].T
    np.testing.assert_allclose(principal_components(rows, 3).abs().numpy(), np.abs(expected), atol=1e-9)


def test_signs_do_not_depend_on_the_solver():
    rows = torch.randn(50, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mirrored = principal_components(rows.flip(0), 3).flip(0)
    torch.testing.assert_close(principal_components(rows, 3), mirrored)


def test_the_rarer_kind_of_patch_is_the_foreground():
    generator = torch.Generator().manual_seed(2)
    features = 0.01 * torch.randn(40, 6, 8, 8, generator=generator)
    expected = torch.zeros(40, 8, 8, dtype=torch.bool)
    for image in range(40):
        top, left = torch.randint(0, 6, (2,), generator=generator).tolist()
        expected[image, top : top + 2, left : left + 2] = True
    features[:, 0] += 3 * expected
    colours = patch_colours(features)
    assert torch.equal(colours.foreground, expected)
    assert 0 <= float(colours.all_patches.min()) <= float(colours.all_patches.max()) <= 1
    hidden = ~expected[:, None].expand(-1, 3, -1, -1)
    assert float(colours.foreground_patches[hidden].abs().max()) == 0
