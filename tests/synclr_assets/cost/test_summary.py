"""Sums over the ledger: right by any key, streamed, as numbers for a UI."""

import tempfile
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_assets.cost.summary import Spent, captions_of, ledger_metadata, spent_by
from synclr_assets.stages.ledger import Prices, ledger_row
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.protocols import Completion
from tests.synclr_assets.conftest import Stages

FRUIT = Unit("fruit", 0)


def test_every_stage_of_a_real_run_is_in_the_ledger(stages: Stages) -> None:
    stages.run_all(FRUIT)
    stages.run_all(Unit("patterns", 0))
    tables = stages.store.tables
    by_asset = spent_by(tables, "asset")
    assert set(by_asset) == {
        (s,) for s in ("captions", "backgrounds", "enriched_captions", "images", "shards")
    }
    assert by_asset[("images",)].units == (23 + 11) * 4
    assert by_asset[("captions",)].units == 23 + 11
    by_bucket = spent_by(tables, "bucket", "asset")
    assert by_bucket[("fruit", "images")].units == 23 * 4
    whole = spent_by(tables)[()]
    assert sum(by_bucket.values(), Spent()).tokens == whole.tokens > 0
    assert whole.batches == tables.count("ledger")


def test_a_second_run_spends_nothing(stages: Stages) -> None:
    stages.run_all(FRUIT)
    before = spent_by(stages.store.tables, "asset")
    stages.run_all(FRUIT)
    assert spent_by(stages.store.tables, "asset") == before


LONG = "a-generator-whose-name-is-longer-than-what-a-log-keeps-of-a-word-" * 3


@given(
    files=st.lists(
        st.lists(st.tuples(st.sampled_from(["one", LONG + "a", LONG + "b"]), st.integers(0, 9)), min_size=1),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=25, deadline=None)
def test_sums_from_the_log_are_those_of_the_rows(files: list[list[tuple[str, int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tables = Store(folder).tables
        expected: dict[tuple[str | None], int] = {}
        for rows in files:
            parts = []
            for generator, usd in rows:
                expected[(generator,)] = expected.get((generator,), 0) + usd
                parts.append(
                    ledger_row(
                        "images",
                        FRUIT,
                        0,
                        units=1,
                        generator=generator,
                        wall_seconds=1.0,
                        usd=usd,
                        run_id="r",
                    )
                )
            tables.append(tables.open_or_create("ledger"), "ledger", pa.concat_tables(parts))
        found = spent_by(tables, "generator")
        assert {key: spent.usd for key, spent in found.items()} == expected
        assert sum(spent.batches for spent in found.values()) == sum(len(rows) for rows in files)
        of_unit = spent_by(tables, "generator", unit=FRUIT)
        assert {key: spent.usd for key, spent in of_unit.items()} == expected


def test_files_of_one_row_are_not_opened(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stages.run_all(FRUIT)
    tables = stages.store.tables
    read = spent_by(tables, "asset", where=FRUIT.where)
    long_ago, soon = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr(type(tables), "snapshot", lambda *arguments: pytest.fail("a table was opened"))
    assert spent_by(tables, "asset") == read
    assert spent_by(tables, "asset", since=long_ago) == read
    assert spent_by(tables, "asset", since=soon) == {}


def test_an_empty_store_has_spent_nothing(store: Store) -> None:
    assert spent_by(store.tables, "asset") == {}
    assert ledger_metadata(store, FRUIT, "captions")["cost (USD)"] == 0


def test_an_unknown_key_is_one_sentence(store: Store) -> None:
    with pytest.raises(ValueError, match="cannot be added up by 'colour': use one of asset, bucket"):
        spent_by(store.tables, "colour")


def test_prices_make_money_of_tokens_and_gpu_time(store: Store) -> None:
    prices = Prices(
        usd_per_million_prompt_tokens=2.0, usd_per_million_completion_tokens=8.0, usd_per_gpu_hour=3.6
    )
    row = ledger_row(
        "captions",
        FRUIT,
        0,
        units=2,
        generator="model",
        completions=[Completion("a", 500_000, 125_000), Completion("b", 500_000, 125_000)],
        wall_seconds=1.0,
        gpu_seconds=1000.0,
        usd=0.5,
        prices=prices,
        run_id="run",
    )
    store.tables.append(store.tables.open_or_create("ledger"), "ledger", row)
    assert ledger_metadata(store, FRUIT, "captions") == {
        "cost (USD)": pytest.approx(2.0 + 2.0 + 1.0 + 0.5),
        "tokens read": 1_000_000,
        "tokens written": 250_000,
        "requests in doubt": 0,
        "requests": 2,
        "wall time (s)": 1.0,
        "GPU time (s)": 1000.0,
    }
    assert list(spent_by(store.tables, "run")) == [("run",)]


def test_a_ledger_from_before_runs_were_recorded_is_read_and_continued(store: Store) -> None:
    row = ledger_row("captions", FRUIT, 0, units=1, generator="model", wall_seconds=1.0, run_id="run")
    uri = store.location.table_uri("ledger")
    write_deltalake(uri, row.drop_columns(["run_id"]), partition_by=["bucket", "generation"])
    assert spent_by(store.tables, "run")[(None,)].units == 1
    store.tables.append(store.tables.open_or_create("ledger"), "ledger", row)
    assert {key: spent.units for key, spent in spent_by(store.tables, "run").items()} == {
        (None,): 1,
        ("run",): 1,
    }


def test_four_views_are_one_caption() -> None:
    assert captions_of("images", 12) == 3
    assert captions_of("captions", 12) == 12
    assert captions_of("shards", 12) == 0
