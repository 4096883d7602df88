"""Resume points of a training on a machine that may not come back: the newest one also lies in the store.

Only for stores that are not a local folder. A local one holds the run's own folder, and with it every resume point.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from obstore.exceptions import BaseError

from synclr_assets.store.blobs import Blobs
from synclr_train.run_files import CHECKPOINT_FOLDER, latest_checkpoint

POLL_SECONDS = 15.0
"""How often a new resume point is looked for; beyond it, an upload's length is what a lost machine costs."""

logger = logging.getLogger(__name__)


@contextmanager
def kept_in_store(blobs: Blobs, key: str, out_dir: Path) -> Iterator[None]:
    """Put the store's resume point into `out_dir` where that has none as new, and upload each newer one meanwhile.

    A run that ends well leaves none in the store. An upload that fails is told and tried again; it stops no training.
    """
    if blobs.location.is_local:
        yield
        return
    folder = f"{key}/{CHECKPOINT_FOLDER}"
    _fetch_newest(blobs, folder, out_dir)
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(POLL_SECONDS):
            _upload_newest(blobs, folder, out_dir)

    follower = threading.Thread(target=follow, name="resume-points", daemon=True)
    follower.start()
    try:
        yield
    except BaseException:
        ended.set()
        follower.join()
        _upload_newest(blobs, folder, out_dir)
        raise
    ended.set()
    follower.join()
    blobs.delete(blobs.keys(folder))


def _fetch_newest(blobs: Blobs, folder: str, out_dir: Path) -> None:
    newest = max(blobs.keys(folder), default=None)
    if newest is None:
        return
    own = latest_checkpoint(out_dir)
    name = newest.rpartition("/")[2]
    if own is not None and own.name >= name:
        return
    (out_dir / CHECKPOINT_FOLDER).mkdir(parents=True, exist_ok=True)
    with blobs.scratch() as scratch:
        fetched = blobs.fetch(newest, scratch)
        shutil.move(fetched, out_dir / CHECKPOINT_FOLDER / name)


def _upload_newest(blobs: Blobs, folder: str, out_dir: Path) -> None:
    newest = latest_checkpoint(out_dir)
    if newest is None:
        return
    key = f"{folder}/{newest.name}"
    try:
        there = blobs.keys(folder)
        if key > max(there, default=""):  # else it is there, or a later attempt on another machine is further
            with suppress(FileNotFoundError):  # the trainer has just dropped it for a newer one
                blobs.copy_file(key, newest)
                blobs.delete(there)
    except (BaseError, OSError) as error:
        logger.warning("%s did not reach the store (%s): it is tried again.", key, error)
