"""A model is pinned by a commit or by its content, and its licence is stated."""

from pathlib import Path

import pytest

from synclr_assets.synthesis.model_source import ModelError, folder_hash, resolve_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net" / "unet").mkdir(parents=True)
    (tmp_path / "net" / "config.json").write_text("{}")
    (tmp_path / "net" / "unet" / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "net"


def test_a_folder_is_known_by_its_content_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    source = resolve_model("image sampler model", str(folder), None, "MIT")
    assert (source.name, source.commit, source.licence) == ("net", None, "MIT")
    moved = folder.rename(tmp_path / "elsewhere")
    assert source.revision == f"sha256:{folder_hash(moved)}"


@pytest.mark.parametrize("change", ["weights", "name", "code"])
def test_any_change_of_what_is_read_changes_the_hash(folder: Path, change: str) -> None:
    before = folder_hash(folder)
    weights = folder / "unet" / "model.safetensors"
    if change == "weights":
        weights.write_bytes(b"Weights")
    elif change == "name":
        weights.rename(folder / "model.safetensors")
    else:
        (folder / "pipeline.py").write_text("pass")
    assert folder_hash(folder) != before


def test_what_is_never_read_changes_nothing(folder: Path) -> None:
    before = folder_hash(folder)
    (folder / "model.ckpt").write_bytes(b"pickle")
    (folder / "README.md").write_text("hello")
    assert folder_hash(folder) == before


def test_a_hub_id_keeps_its_commit() -> None:
    source = resolve_model("image sampler model", "org/net", COMMIT, "MIT")
    assert (source.location, source.commit, source.revision) == ("org/net", COMMIT, COMMIT)


@pytest.mark.parametrize(
    ("model", "revision", "licence", "message"),
    [
        (
            "./missing/net",
            None,
            "MIT",
            r"^image sampler model \./missing/net: there is no such folder; name ",
        ),
        ("org/net", None, "MIT", r"needs the commit .*, not none; set revision\.$"),
        ("org/net", "main", "MIT", r"needs the commit .*, not 'main'; set revision\.$"),
        ("org/net", COMMIT, None, r"its licence is not known; set licence"),
    ],
)
def test_what_is_not_pinned_is_one_sentence(
    model: str, revision: str | None, licence: str | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        resolve_model("image sampler model", model, revision, licence)


def test_a_folder_has_no_revision(folder: Path) -> None:
    with pytest.raises(ModelError, match="is a folder, which has no revision main"):
        resolve_model("image sampler model", str(folder), "main", "MIT")
