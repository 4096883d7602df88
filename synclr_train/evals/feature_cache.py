"""Features kept on disk, so that a frozen encoder reads a data set once: written in a stream, read by mapping.

A file is whole or absent, and is checked against its own checksum before it is used.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from synclr_train.atomic_files import replacing, write_atomically
from synclr_train.backbone import Encoder
from synclr_train.evals.labelled_images import LabelledImages, digest_of
from synclr_train.evals.subjects import OnEvent

DTYPE = np.dtype(np.float32)
CHECKED_BYTES = 2**24
"""Bytes hashed at a time."""


def cached_features(
    folder: Path,
    encoder: Encoder,
    images: LabelledImages,
    rows: np.ndarray,
    batches: Iterator[Tensor],
    *,
    on_event: OnEvent | None = None,
) -> Float[np.ndarray, "n d"]:
    """The features of `rows`, mapped from their file in `folder`; made from `batches` where there is none.

    The file's name follows the weights, the data set's digest, the transform, the dtype and the rows. `batches`
    yields [b d] in the order of `rows` and is not started when the file is good. A damaged file is told as
    `{"event": "feature_cache_damaged"}` and made again. Float32, read-only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^a-z0-9]+", "_", images.name.lower()).strip("_")
    path = folder / f"{slug}-{features_key(encoder, images, rows)}.npy"
    record = path.with_suffix(".json")
    if record.exists():
        if path.exists() and _checksum(path) == json.loads(record.read_text(encoding="utf-8"))["sha256"]:
            return np.load(path, mmap_mode="r")
        if on_event is not None:
            on_event({"event": "feature_cache_damaged", "file": str(path)})
    with replacing(path) as file:
        shape = (len(rows), encoder.embed_dim)
        np.lib.format.write_array_header_1_0(
            file, {"descr": DTYPE.str, "fortran_order": False, "shape": shape}
        )
        num_written = 0
        for batch in batches:
            file.write(batch.cpu().numpy().astype(DTYPE).tobytes())
            num_written += len(batch)
        assert num_written == len(rows), "the batches are not those of the rows"
    write_atomically(record, json.dumps({"sha256": _checksum(path), "shape": shape}).encode())
    return np.load(path, mmap_mode="r")


def features_key(encoder: Encoder, images: LabelledImages, rows: np.ndarray) -> str:
    """16 hexadecimal characters; different whenever the features could be."""
    transform: Mapping[str, object] = {
        "resize_and_centre_crop": encoder.image_size,
        "mean": encoder.mean,
        "std": encoder.std,
        "dtype": DTYPE.str,
    }
    return digest_of(
        weights_digest(encoder).encode(),
        images.name.encode(),
        images.digest.encode(),
        json.dumps(transform, sort_keys=True).encode(),
        np.ascontiguousarray(rows, dtype=np.int64).tobytes(),
    )


def weights_digest(encoder: Encoder) -> str:
    """SHA-256 over names, shapes and values of every weight, whatever the device."""
    hasher = hashlib.sha256()
    for name, value in sorted(encoder.state_dict().items()):
        hasher.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        hasher.update(value.cpu().float().numpy().tobytes())
    return hasher.hexdigest()


def _checksum(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHECKED_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()
