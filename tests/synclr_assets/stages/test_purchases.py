"""Every caption is accounted for, every delivery is paid and counted once, and the key is written nowhere."""

import logging
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from synclr_assets.stages.purchases import Purchases, requests_in_doubt, sweep_purchases
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.openai_answers import ApiError
from synclr_assets.synthesis.purchases import Delivery
from tests.synclr_assets.conftest import content_of, write_bank
from tests.synclr_assets.stages.api_stages import (
    CORPUS_STAGES,
    KEY_VARIABLE,
    USD_PER_MILLION,
    ApiStages,
    Kill,
)
from tests.synclr_assets.synthesis.faulty_server import FAULTS, KEY, FaultyServer

BANK = {
    "fruit.yaml": "captions: 20\nconcepts: [apple, banana, {name: quince, weight: 2}]\n",
    "roses.yaml": "captions: 6\nsource: flowers\nconcepts: [dog rose, tea rose]\n",
    "lilies.yaml": "captions: 6\nsource: flowers\nconcepts: [tiger lily, water lily]\n",
    "middle.yaml": "captions: 150\nconcepts: [" + ", ".join(f"pear kind {n}" for n in range(4)) + "]\n",
    "large.yaml": "captions: 660\nconcepts: [" + ", ".join(f"apple kind {n}" for n in range(12)) + "]\n",
}
FRUIT, ROSES, LILIES = (Unit(name, 0) for name in ("fruit", "roses", "lilies"))
MIDDLE, LARGE = Unit("middle", 0), Unit("large", 0)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


def stages_at(tmp_path: Path, server: FaultyServer, **options: object) -> ApiStages:
    bank = write_bank(tmp_path / "concepts", BANK)
    return ApiStages(bank, Store(tmp_path / "store"), server.base_url, **options)  # type: ignore[arg-type]


def assert_accounted(store: Store, unit: Unit, allocated: int) -> None:
    """allocated = written + quarantined, at both stages, no caption twice."""
    tables = store.tables
    planned = {row["caption_id"] for row in tables.read("captions", partitions=unit.partitions).to_pylist()}
    final = [
        row["caption_id"] for row in tables.read("enriched_captions", partitions=unit.partitions).to_pylist()
    ]
    lost = tables.read("quarantine", partitions=unit.partitions).to_pylist()
    lost_at = {
        s: {r["caption_id"] for r in lost if r["stage"] == s} for s in ("captions", "enriched_captions")
    }
    assert len(planned) + len(lost_at["captions"]) == allocated
    assert len(final) == len(set(final))
    assert set(final) | lost_at["enriched_captions"] == planned
    assert not set(final) & lost_at["enriched_captions"]


def assert_ledger_is_what_was_delivered(
    store: Store, server: FaultyServer, price_factor: float = 1.0
) -> None:
    ledger = store.tables.read("ledger").to_pylist()
    assert sum(row["requests"] for row in ledger) == server.num_delivered
    usd = 0.0
    for name, price in USD_PER_MILLION.items():
        assert sum(row[name] for row in ledger) == server.tokens[name]
        usd += server.tokens[name] * price / 1e6 * price_factor
    assert sum(row["usd"] for row in ledger) == pytest.approx(usd)


def assert_key_is_nowhere_in(folder: Path) -> None:
    for path in folder.rglob("*"):
        assert KEY not in str(path)
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def journal_of(store: Store) -> list[str]:
    return store.blobs.keys("journal")


def test_a_thousand_requests_of_which_every_third_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, logger="httpcore2")
    with FaultyServer(fault_share=1 / 3) as server:
        stages = stages_at(
            tmp_path, server, max_concurrency=32, timeout_seconds=4.0, captions_per_commit=1024
        )
        stages.run_all(LARGE)
        assert server.num_requests >= 1000
        assert all(server.met[fault] >= 10 for fault in FAULTS), server.met
        assert 0.28 < 1 - server.met["none"] / server.num_requests < 0.38
        assert server.bought_twice == 0
        assert_ledger_is_what_was_delivered(stages.store, server)
        assert doubts_in(stages.store) == sum(server.met[fault] for fault in ("hang", "cut", "half"))
    assert_accounted(stages.store, LARGE, 660)
    assert stages.store.tables.count("enriched_captions") > 640
    assert journal_of(stages.store) == []
    assert_key_is_nowhere_in(tmp_path)
    assert KEY not in caplog.text
    assert not any(KEY in part for part in capfd.readouterr())


@pytest.mark.parametrize("kind", ["list", "rewrite"])
def test_batch_jobs_of_which_every_third_item_call_or_job_fails(tmp_path: Path, kind: str) -> None:
    faults = tuple(fault for fault in FAULTS if fault != "hang")
    with FaultyServer(fault_share=1 / 3, faults=faults) as server:
        stages = stages_at(tmp_path, server, kind=kind, use_batch_api=True, captions_per_commit=1024)
        stages.run_all(MIDDLE)
        ends = {job["status"] for job in server.batches.values()}
        assert ends == {"completed", "failed", "expired"}
        assert server.bought_twice == 0
        assert_ledger_is_what_was_delivered(stages.store, server, price_factor=0.5)
    assert_accounted(stages.store, MIDDLE, 150)
    assert journal_of(stages.store) == []
    assert_key_is_nowhere_in(tmp_path)


def test_what_is_too_little_for_a_job_is_asked_live(tmp_path: Path, server: FaultyServer) -> None:
    stages = stages_at(tmp_path, server, use_batch_api=True, least_requests_per_batch=200)
    stages.run_all(FRUIT)
    assert server.batches == {}
    assert_ledger_is_what_was_delivered(stages.store, server, price_factor=1.0)


@pytest.mark.parametrize("batch", ["live", "batch"])
def test_a_rewritten_caption_keeps_what_it_came_from(
    tmp_path: Path, server: FaultyServer, batch: str
) -> None:
    stages = stages_at(tmp_path, server, kind="rewrite", use_batch_api=batch == "batch")
    stages.run_all(FRUIT)
    plain = {row["caption_id"]: row for row in stages.store.tables.read("plain_captions").to_pylist()}
    final = {row["caption_id"]: row for row in stages.store.tables.read("enriched_captions").to_pylist()}
    rewritten = {name for name, row in final.items() if row["template"] == "c_bg"}
    assert set(plain) == rewritten
    assert len(rewritten) > 3
    for name in rewritten:
        assert final[name]["background"] in final[name]["text"]
        assert final[name]["text"].startswith(" ".join(plain[name]["text"].rstrip(".").split()))
        assert final[name]["fingerprint"] != plain[name]["fingerprint"]
    assert stages.store.tables.count("backgrounds") == 0
    assert server.bought_twice == 0


def test_a_list_is_bought_once_for_every_generation(tmp_path: Path, server: FaultyServer) -> None:
    stages = stages_at(tmp_path, server)
    stages.run_all(FRUIT)
    bought = stages.store.tables.read("backgrounds").to_pylist()
    assert {row["concept"] for row in bought} == {"apple", "banana", "quince"}
    assert {row["origin"] for row in bought} == {"generated"}
    stages.run_all(Unit("fruit", 1))
    assert stages.store.tables.read("backgrounds").to_pylist() == bought


def test_a_shared_list_is_bought_once_for_every_bucket_of_its_source(
    tmp_path: Path, server: FaultyServer
) -> None:
    stages = stages_at(tmp_path, server)
    stages.run_all(ROSES)
    stages.run_all(LILIES)
    rows = stages.store.tables.read("backgrounds").to_pylist()
    assert {(row["bucket"], row["concept"]) for row in rows} == {("source:flowers", "flowers")}
    assert len(rows) == 10
    listed = {row["background"] for row in rows}
    final = stages.store.tables.read("enriched_captions").to_pylist()
    assert {row["background"] for row in final if row["template"] == "c_bg"} <= listed
    assert {row["bucket"] for row in final if row["template"] == "c_bg"} == {"roses", "lilies"}
    assert_ledger_is_what_was_delivered(stages.store, server)


def test_two_buckets_that_want_a_shared_list_at_once_buy_it_once(
    tmp_path: Path, server: FaultyServer
) -> None:
    server.list_seconds = 1.0
    stages = stages_at(tmp_path, server)
    for unit in (ROSES, LILIES):
        for stage in CORPUS_STAGES[:2]:
            stages.run(stage, unit)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(stages.run, "enriched_captions", ROSES)
        time.sleep(0.5)
        second = threads.submit(stages.run, "enriched_captions", LILIES)
        first.result()
        second.result()
    assert stages.store.tables.count("backgrounds") == 10
    assert server.bought_twice == 0
    assert_ledger_is_what_was_delivered(stages.store, server)
    for unit in (ROSES, LILIES):
        assert_accounted(stages.store, unit, 6)


def test_a_concept_no_list_was_got_for_is_quarantined_with_the_reason(tmp_path: Path) -> None:
    with FaultyServer() as server:
        stages = stages_at(tmp_path, server)
        for stage in CORPUS_STAGES[:2]:
            stages.run(stage, FRUIT)
        server.fault_share, server.faults = 1.0, ("wrong_number",)
        stages.run("enriched_captions", FRUIT)
        lost = stages.store.tables.read("quarantine").to_pylist()
        waiting = (
            stages.store.tables.read("captions", columns=["template"])["template"].to_pylist().count("c_bg")
        )
        assert [row["reason"] for row in lost] == ["no_background"] * waiting
        assert waiting > 3
        assert_accounted(stages.store, FRUIT, 20)
        assert server.bought_twice == 0
        assert_ledger_is_what_was_delivered(stages.store, server)


LIVE, BATCH = False, True
KILLS = [
    Kill("captions", "list", LIVE, "put_bytes", 1, "after"),
    Kill("captions", "list", LIVE, "put_bytes", 2, "after"),
    Kill("captions", "list", LIVE, "put_bytes", 9, "before"),
    Kill("captions", "list", LIVE, "put_bytes", 18, "after"),
    Kill("captions", "list", LIVE, "append", 4, "before"),
    Kill("captions", "list", LIVE, "append", 5, "before"),
    Kill("captions", "list", LIVE, "append", 5, "after"),
    Kill("captions", "list", BATCH, "put_bytes", 1, "after"),
    Kill("captions", "list", BATCH, "put_bytes", 2, "before"),
    Kill("captions", "list", BATCH, "put_bytes", 2, "after"),
    Kill("captions", "list", BATCH, "put_bytes", 4, "before"),
    Kill("enriched_captions", "list", LIVE, "put_bytes", 4, "after"),
    Kill("enriched_captions", "list", LIVE, "append", 4, "before"),
    Kill("enriched_captions", "list", BATCH, "put_bytes", 4, "before"),
    Kill("enriched_captions", "list", BATCH, "delete", 2, "before"),
    Kill("enriched_captions", "rewrite", LIVE, "put_bytes", 10, "after"),
    Kill("enriched_captions", "rewrite", BATCH, "put_bytes", 2, "before"),
]
"""Of live requests, put_bytes 1, 3, 5 announce one and 2, 4, 6 keep its delivery. In a batch job put_bytes 1 notes
that it will be created, 2 notes its id, the next keep its deliveries."""


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: "-".join(map(str, vars(kill).values())))
def test_a_kill_buys_nothing_twice_and_loses_nothing(tmp_path: Path, kill: Kill) -> None:
    with FaultyServer() as server, FaultyServer() as other_server:
        stages = stages_at(tmp_path, server, kind=kill.kind, use_batch_api=kill.use_batch_api)
        before = CORPUS_STAGES[: CORPUS_STAGES.index(kill.stage)]
        for earlier in before:
            stages.run(earlier, FRUIT)
        shutil.copytree(stages.store.location.folder, tmp_path / "undisturbed")
        undisturbed = replace(stages, store=Store(tmp_path / "undisturbed"), base_url=other_server.base_url)
        other_server.delivered, other_server.tokens = server.delivered.copy(), server.tokens.copy()
        assert kill.run(stages, FRUIT, tmp_path / "output") == -signal.SIGKILL
        for later in CORPUS_STAGES[len(before) : CORPUS_STAGES.index(kill.stage) + 1]:
            stages.run(later, FRUIT)
            undisturbed.run(later, FRUIT)
        assert server.bought_twice == 0
        assert server.delivered == other_server.delivered
        assert_ledger_is_what_was_delivered(stages.store, server, 0.5 if kill.use_batch_api else 1.0)
        assert content_of(stages.store) == content_of(undisturbed.store)
    assert journal_of(stages.store) == []
    assert_key_is_nowhere_in(tmp_path)


def test_a_kill_after_the_commit_leaves_entries_that_are_swept_and_not_counted(tmp_path: Path) -> None:
    with FaultyServer() as server:
        stages = stages_at(tmp_path, server, captions_per_commit=1024)
        stages.run("concepts", FRUIT)
        kill = Kill("captions", "list", LIVE, "append", 4, "after")
        assert kill.run(stages, FRUIT, tmp_path / "output") == -signal.SIGKILL
        assert len(journal_of(stages.store)) == server.num_delivered > 5
        stages.run("captions", FRUIT)
        assert journal_of(stages.store) == []
        assert_ledger_is_what_was_delivered(stages.store, server)


@pytest.mark.parametrize("honours_idempotency", [False, True])
def test_a_request_under_way_at_a_kill_is_in_doubt_and_free_where_the_server_honours_its_key(
    tmp_path: Path, honours_idempotency: bool
) -> None:
    with FaultyServer() as server:
        server.honours_idempotency = honours_idempotency
        stages = stages_at(tmp_path, server)
        stages.run("concepts", FRUIT)
        kill = Kill("captions", "list", LIVE, "put_bytes", 10, "before")
        assert kill.run(stages, FRUIT, tmp_path / "output") == -signal.SIGKILL
        assert server.num_delivered == 5
        assert requests_in_doubt(stages.store) == 1
        stages.run("captions", FRUIT)
        assert server.bought_twice == (0 if honours_idempotency else 1)
        assert requests_in_doubt(stages.store) == 0
        assert doubts_in(stages.store) == 1
        assert journal_of(stages.store) == []


def doubts_in(store: Store) -> int:
    return sum(row["requests_in_doubt"] for row in store.tables.read("ledger").to_pylist())


def test_what_was_delivered_before_an_error_is_not_bought_again(tmp_path: Path) -> None:
    with FaultyServer() as server:
        stages = stages_at(tmp_path, server)
        stages.run("concepts", FRUIT)
        server.fault_share, server.faults = 0.9, ("500",)
        with pytest.raises(ApiError, match=r"did not deliver a request in 12 tries.*\[key\]"):
            stages.run("captions", FRUIT)
        assert requests_in_doubt(stages.store) == 0
        server.fault_share = 0.0
        stages.run("captions", FRUIT)
        assert server.bought_twice == 0
        assert_ledger_is_what_was_delivered(stages.store, server)


def test_counted_entries_are_swept_and_uncommitted_ones_kept(store: Store) -> None:
    delivery = Delivery("a text", False, "m", 3, 2, 0.5)
    purchases = Purchases(store, "captions", FRUIT, 0)
    purchases.keep("a" * 32, delivery)
    purchases.keep_note("job", {"id": "b-1"})
    again = Purchases(store, "captions", FRUIT, 0)
    assert again.recall("a" * 32) == delivery
    assert again.notes() == {"job": {"id": "b-1"}}
    sweep_purchases(store, "captions", FRUIT)
    assert len(journal_of(store)) == 2
    later = Purchases(store, "captions", FRUIT, 7)
    assert later.recall("a" * 32) is None
    assert journal_of(store) == ["journal/captions/fruit/g0000/jobs/job.json"]
