"""Rows of many bucket generations from one opening are those of one opening each."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.store.unit_rows import UnitRows, any_of
from tests.synclr_assets.conftest import Stages

UNITS = (Unit("fruit", 0), Unit("fruit", 1), Unit("patterns", 0))


@pytest.fixture
def made(stages: Stages) -> Store:
    for unit in UNITS:
        stages.run("concepts", unit)
        stages.run("captions", unit)
    return stages.store


def rows(table: pa.Table) -> list[dict[str, object]]:
    return table.sort_by("caption_id").to_pylist()


@pytest.mark.parametrize("unit", [*UNITS, Unit("patterns", 1), Unit("absent", 0)])
def test_a_unit_is_read_as_by_itself(made: Store, unit: Unit) -> None:
    captions = UnitRows(made.tables, "captions", ["fruit", "patterns", "absent"])
    alone = made.tables.read("captions", partitions=unit.partitions)
    assert rows(captions.read(unit)) == rows(alone)
    first = pc.field("position") < 3
    some = made.tables.read("captions", partitions=unit.partitions, columns=["caption_id"], where=first)
    assert rows(captions.read(unit, ["caption_id"], first)) == rows(some)
    assert (captions.dataset(unit) is None) == (alone.num_rows == 0)


def test_only_the_asked_buckets_are_there_and_an_absent_table_is_empty(made: Store) -> None:
    assert UnitRows(made.tables, "captions", ["patterns"]).read(UNITS[0]).num_rows == 0
    assert UnitRows(made.tables, "images", ["fruit"]).read(UNITS[0], ["caption_id", "view"]).num_rows == 0


@pytest.mark.parametrize("units", [UNITS[:1], UNITS[1:], UNITS])
def test_any_of_is_the_alternative_of_all(made: Store, units: tuple[Unit, ...]) -> None:
    found = made.tables.read("captions", where=any_of(units))
    expected = [made.tables.read("captions", partitions=unit.partitions) for unit in units]
    assert rows(found) == rows(pa.concat_tables(expected))
    assert found.num_rows
