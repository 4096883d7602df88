"""Features are made once, follow everything they depend on, and a damaged file is noticed and made again."""

import dataclasses

import numpy as np
import pytest
import torch

from synclr_train.backbone import load_encoder, random_encoder_like
from synclr_train.evals.datasets import load_digits
from synclr_train.evals.feature_cache import cached_features, features_key
from synclr_train.evals.features import represent, represent_batches

ROWS = np.array([5, 3, 900, 41])


@pytest.fixture
def encoder(encoder_dir):
    return load_encoder(encoder_dir)


def kept(folder, encoder, *, heard=None):
    digits = load_digits()
    batches = represent_batches(encoder, digits, ROWS, batch_size=3)
    return cached_features(folder, encoder, digits, ROWS, batches, on_event=heard)


def no_batches():
    raise AssertionError("features were computed although the file is good")
    yield


def test_kept_features_are_the_encoders_and_are_made_once(encoder, tmp_path):
    features = kept(tmp_path, encoder)
    expected = represent(encoder, load_digits(), ROWS)
    torch.testing.assert_close(torch.tensor(features).double(), expected, atol=1e-5, rtol=1e-4)
    again = cached_features(tmp_path, encoder, load_digits(), ROWS, no_batches())
    assert isinstance(again, np.memmap)
    assert np.array_equal(features, again)


@pytest.mark.parametrize("place", [0, 70, -1])
def test_a_damaged_file_is_told_and_made_again(encoder, tmp_path, place):
    features = np.array(kept(tmp_path, encoder))
    (path,) = tmp_path.glob("*.npy")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    heard = []
    again = kept(tmp_path, encoder, heard=heard.append)
    assert [event["event"] for event in heard] == ["feature_cache_damaged"]
    assert np.array_equal(features, again)


def test_a_run_that_was_cut_off_leaves_nothing_to_trust(encoder, tmp_path):
    def cut_off():
        yield from represent_batches(encoder, load_digits(), ROWS[:2])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(tmp_path, encoder, load_digits(), ROWS, cut_off())
    assert list(tmp_path.iterdir()) == []


def test_the_key_follows_weights_data_rows_and_transform(encoder, encoder_dir):
    digits = load_digits()
    keys = {features_key(encoder, digits, ROWS)}
    assert features_key(load_encoder(encoder_dir), digits, ROWS) in keys
    keys.add(features_key(random_encoder_like(encoder_dir, 1), digits, ROWS))
    keys.add(features_key(encoder, dataclasses.replace(digits, digest="0"), ROWS))
    keys.add(features_key(encoder, digits, ROWS[::-1]))
    encoder.image_size *= 2
    keys.add(features_key(encoder, digits, ROWS))
    encoder.mean = (0.0, 0.0, 0.0)
    keys.add(features_key(encoder, digits, ROWS))
    assert len(keys) == 6
