"""A file is whole or absent, and an interrupted write leaves nothing behind."""

import pytest

from synclr_train.atomic_files import replacing, write_atomically


def test_a_write_replaces_the_file(tmp_path):
    write_atomically(tmp_path / "a", b"old")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_interrupted_write_changes_nothing(tmp_path):
    write_atomically(tmp_path / "a", b"old")

    def interrupted() -> None:
        with replacing(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
