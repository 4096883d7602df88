"""`verify` is silent about a sound store and names each of ten planted corruptions; `repair` mends what has a copy."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from synclr_assets.cli import cli
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import Unit
from synclr_assets.verification.findings import CODES, NOTES, Finding
from synclr_assets.verification.repair import repair
from synclr_assets.verification.verify import verify
from tests.synclr_assets.conftest import TINY_BANK, Stages, content_of, write_bank
from tests.synclr_assets.report.trained_store import score

FRUIT, PATTERNS = Unit("fruit", 0), Unit("patterns", 0)
MODEL = "00112233445566778899aabbccddeeff"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two bucket generations; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("sound")
    stages = Stages(write_bank(folder / "concepts", TINY_BANK), Store(folder / "store"))
    stages.run_all(FRUIT)
    stages.run_all(PATTERNS)
    return folder / "store"


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Store:
    shutil.copytree(sound, tmp_path / "store")
    return Store(tmp_path / "store")


def findings_of(store: Store, **options: Any) -> list[Finding]:
    return [finding for step in verify(store, **options) for finding in step.findings]


def changed(table: str, column: str, value: Any, where: str) -> Callable[[Store], None]:
    """Plants a value in one row of a table, through Delta itself."""

    def plant(store: Store) -> None:
        handle = store.tables.open(table)
        assert handle is not None
        handle.update(updates={column: value}, predicate=where)

    return plant


def truncated_parquet(store: Store) -> None:
    path = next((store.location.folder / "tables/enriched_captions").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-10])


def missing_parquet(store: Store) -> None:
    next((store.location.folder / "tables/captions").rglob("*.parquet")).unlink()


def flipped_byte_in_parquet(store: Store) -> None:
    path = max((store.location.folder / "tables/images").rglob("*.parquet"), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[40:56] = bytes(byte ^ 0xFF for byte in data[40:56])
    path.write_bytes(data)


def flipped_byte_in_shard(store: Store) -> None:
    path = sorted((store.location.folder / "shards").rglob("*.tar"))[0]
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)


def missing_shard(store: Store) -> None:
    sorted((store.location.folder / "shards").rglob("*.tar"))[1].unlink()


def flipped_image(store: Store) -> None:
    rows = store.tables.read("image_bytes", partitions=FRUIT.partitions).slice(0, 1).to_pylist()
    rows[0]["encoded"] = rows[0]["encoded"][:-3] + b"\0\0\0"
    where = f"{FRUIT.predicate} AND caption_id = '{rows[0]['caption_id']}' AND view = {rows[0]['view']}"
    store.tables.replace("image_bytes", where, rows_of("image_bytes", rows))


def lost_view(store: Store) -> None:
    handle = store.tables.open("images")
    assert handle is not None
    handle.delete(f"{FRUIT.predicate} AND position = 3 AND view = 2")


def lost_caption(store: Store) -> None:
    handle = store.tables.open("enriched_captions")
    assert handle is not None
    handle.delete(f"{FRUIT.predicate} AND position = 3")


def doubled_caption(store: Store) -> None:
    twin = store.tables.read("captions", partitions=FRUIT.partitions, where=pc.field("position") == 5)
    store.tables.append_once("captions", "planted", twin)


def stray_score(store: Store) -> None:
    row = score("model", "accuracy", 0.5, model_id=MODEL)
    store.tables.append_once("evals", "planted", rows_of("evals", [row]))


PLANTED: dict[str, tuple[str, Callable[[Store], None]]] = {
    "a truncated table file": ("table_file_truncated", truncated_parquet),
    "a missing table file": ("table_file_missing", missing_parquet),
    "flipped bytes in a table file": ("table_file_damaged", flipped_byte_in_parquet),
    "a flipped bit in a shard": ("shard_damaged", flipped_byte_in_shard),
    "a missing shard": ("shard_missing", missing_shard),
    "a changed image": ("image_bytes_damaged", flipped_image),
    "a lost view": ("group_incomplete", lost_view),
    "a lost caption": ("caption_unaccounted", lost_caption),
    "a doubled caption": ("caption_doubled", doubled_caption),
    "a changed text": (
        "caption_text_damaged",
        changed("enriched_captions", "text", "'an apple of no one'", f"{FRUIT.predicate} AND position = 4"),
    ),
    "a changed seed": (
        "image_seed_wrong",
        changed("images", "seed", "7", f"{FRUIT.predicate} AND position = 4"),
    ),
    "a changed id": (
        "caption_id_wrong",
        changed("captions", "caption_id", "'ff'", f"{PATTERNS.predicate} AND position = 0"),
    ),
    "a lost index row": (
        "shard_members_wrong",
        changed("shard_members", "offset_bytes", "1", f"{FRUIT.predicate} AND shard_index = 1"),
    ),
    "a score of no model": ("score_dangling", stray_score),
}


def test_a_sound_store_gives_no_finding(copy: Store) -> None:
    assert findings_of(copy) == []
    assert findings_of(copy, deep=False) == []


@pytest.mark.parametrize("planted", PLANTED)
def test_each_planted_corruption_is_found_by_name(copy: Store, planted: str) -> None:
    code, plant = PLANTED[planted]
    plant(copy)
    found = [finding for finding in findings_of(copy) if finding.is_fault]
    assert code in {finding.code for finding in found}
    assert all(finding.sentence.endswith(".") and "\n" not in finding.sentence for finding in found)


@pytest.mark.parametrize(
    "planted", ["a flipped bit in a shard", "a missing shard", "a changed image", "a lost index row"]
)
def test_what_has_a_second_copy_is_mended_to_the_very_bytes(copy: Store, sound: Path, planted: str) -> None:
    PLANTED[planted][1](copy)
    outcomes = repair(copy, findings_of(copy))
    assert outcomes
    assert all(why is None for _, why in outcomes)
    assert findings_of(copy) == []
    assert content_of(copy) == content_of(Store(sound))


def test_what_lost_both_copies_is_left_as_it_is_with_the_reason(copy: Store) -> None:
    flipped_image(copy)
    for path in (copy.location.folder / "shards").rglob("*.tar"):
        path.unlink()
    before = content_of(copy)
    outcomes = repair(copy, findings_of(copy))
    assert any(why is not None and "no second copy" in why for _, why in outcomes)
    assert any("do not match their checksum" in (why or "") for _, why in outcomes)
    rebuilt = {key for key in content_of(copy)["files"] if key not in before["files"]}
    assert rebuilt, "shards whose images are intact are rebuilt all the same"


def test_rows_of_an_uncommitted_batch_are_a_note_and_no_fault(copy: Store) -> None:
    stray = {
        **FRUIT.partitions,
        "stage": "captions",
        "position": 99,
        "caption_id": "f" * 32,
        "reason": "empty",
    }
    store_rows = rows_of("quarantine", [stray | {"attempts": 1}])
    copy.tables.append_once("quarantine", "planted", store_rows)
    (finding,) = findings_of(copy)
    assert (finding.code, finding.is_fault) == ("rows_beyond_cursor", False)


def test_dropped_image_bytes_are_no_fault_once_packed(copy: Store) -> None:
    handle = copy.tables.open("image_bytes")
    assert handle is not None
    handle.delete(FRUIT.predicate)
    assert findings_of(copy) == []


def test_a_unit_whose_name_needs_quoting_is_found_on_disk(copy: Store) -> None:
    row = {
        "bucket": "source:flowers", "generation": 0, "position": 0, "concept": "rose", "ordinal": 0,
        "background": "garden", "origin": "frozen", "model": "m", "revision": "r", "licence": "l", "fingerprint": "f",
    }  # fmt: skip
    copy.tables.append_once("backgrounds", "planted", rows_of("backgrounds", [row]))
    assert findings_of(copy) == []


def test_the_command_tells_cron_by_its_exit_code_and_mends_on_request(copy: Store) -> None:
    root = str(copy.location.folder)
    fine = CliRunner().invoke(cli, ["verify", "--store", root])
    assert (fine.exit_code, "0 faults" in fine.output) == (0, True)
    missing_shard(copy)
    assert CliRunner().invoke(cli, ["verify", "--quick", "--store", root]).exit_code == 1
    mended = CliRunner().invoke(cli, ["verify", "--repair", "--store", root])
    assert (mended.exit_code, "1 faults, 1 mended" in mended.output) == (0, True)
    truncated_parquet(copy)
    broken = CliRunner().invoke(cli, ["verify", "--json", "--store", root])
    assert broken.exit_code == 1
    assert '"table_file_truncated"' in broken.output
    assert "corpus of fruit generation 0" in broken.output


def test_every_code_says_what_it_means() -> None:
    assert all(about and not about.endswith(".") for about in CODES.values())
    assert {code for code, _ in PLANTED.values()} <= set(CODES)


def test_the_documentation_names_every_code() -> None:
    page = (Path(__file__).parents[3] / "docs/integrity.md").read_text(encoding="utf-8")
    assert [code for code in (*CODES, *NOTES) if f"`{code}`" not in page] == []
