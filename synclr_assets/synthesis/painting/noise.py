"""Noise fields that are cut from fixed banks: the same bank in every process, a cut per image."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""float32 [height, width]."""

_BANK_SEED = 20_231_228
_GRAIN = "grain"


def cut_grain(size_px: int, across: float, down: float) -> Field:
    """White noise [size_px, size_px], uniform in [0, 1), cut at the place given by two numbers in [0, 1)."""
    return _cut(_bank(size_px, _GRAIN), size_px, across, down)


def cut_clouds(size_px: int, across: float, down: float, fine: bool = False) -> Field:
    """Smooth noise [size_px, size_px] in [0, 1] around 0.5, with blobs of 1/6 (fine: 1/20) of a side."""
    return _cut(_bank(size_px, "fine" if fine else "coarse"), size_px, across, down)


def _cut(bank: Field, size_px: int, across: float, down: float) -> Field:
    room = bank.shape[0] - size_px
    top, left = int(down * room), int(across * room)
    return bank[top : top + size_px, left : left + size_px]


@lru_cache(maxsize=16)
def _bank(size_px: int, kind: str) -> Field:
    """A square of noise several images wide. RandomState because its stream is frozen for good."""
    side = max(4 * size_px, 256)
    white = np.random.RandomState(_BANK_SEED).rand(side, side)
    if kind == _GRAIN:
        return white.astype(np.float32)
    sigma_px = size_px / (24.0 if kind == "fine" else 9.0)
    frequencies = np.fft.fftfreq(side)
    falloff = np.exp(-2.0 * (np.pi * sigma_px * frequencies) ** 2)
    smooth = np.fft.ifft2(np.fft.fft2(white - 0.5) * falloff[:, None] * falloff[None, :]).real
    return np.clip(0.5 + 0.22 * smooth / smooth.std(), 0.0, 1.0).astype(np.float32)
