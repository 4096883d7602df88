"""A user's dictionary of backgrounds: used as it is, refused in one sentence."""

import json
from pathlib import Path

import pytest

from synclr_assets.synthesis.frozen_backgrounds import (
    BackgroundFileError,
    FrozenBackgrounds,
    load_frozen_backgrounds,
)


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_concepts_come_before_sources(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.json", {"tuba": ["a band stand", "a  pit"], "custom": ["a shed"]})
    writer = FrozenBackgrounds(path)
    assert writer.origin == "frozen"
    assert writer.write("tuba", "custom", 10) == ["a band stand", "a pit"]
    assert writer.write("tuba", "custom", 1) == ["a band stand"]
    assert writer.write("harp", "custom", 10) == ["a shed"]
    with pytest.raises(BackgroundFileError, match=r"mine\.json: there is no list for the concept 'harp'"):
        writer.write("harp", "food", 10)


def test_the_fingerprint_follows_the_content_not_the_file_name(tmp_path: Path) -> None:
    first = FrozenBackgrounds(written(tmp_path / "a.json", {"tuba": ["a pit"]})).provenance.fingerprint
    assert (
        FrozenBackgrounds(written(tmp_path / "b.json", {"tuba": ["a pit"]})).provenance.fingerprint == first
    )
    assert (
        FrozenBackgrounds(written(tmp_path / "c.json", {"tuba": ["a hall"]})).provenance.fingerprint != first
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must hold an object"),
        (b"{}", "must hold an object"),
        ('{"café": ["x"]}'.encode("latin-1"), "not UTF-8"),
        (b'{"tuba": "a pit"}', "list of 'tuba' must be a list"),
        (b'{"tuba": []}', "at least one background"),
        (b'{"tuba": ["a pit", 3]}', "holds 3"),
        (b'{"tuba": ["a\\npit"]}', "one line of text"),
        (b'{"tuba": ["a pit", "a pit "]}', "'a pit' twice"),
    ],
)
def test_a_faulty_file_gets_one_sentence_that_names_it(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(BackgroundFileError, match=r"mine\.json") as raised:
        load_frozen_backgrounds(path)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackgroundFileError, match=r"absent\.json: the file cannot be read"):
        load_frozen_backgrounds(tmp_path / "absent.json")
