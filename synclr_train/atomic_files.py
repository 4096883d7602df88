"""Files that are whole or absent: written under a temporary name, flushed to disk, then renamed."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Make `content` the file at `path`, replacing what was there; its folder must exist."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
