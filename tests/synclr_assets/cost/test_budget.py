"""A budget stops a stage before a limit, says so in one sentence, and costs no row when it is raised."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.budget import (
    Budget,
    BudgetExceededError,
    Costs,
    Expected,
    Limits,
    budget_of,
    read_budget,
)
from synclr_assets.cost.guard import BudgetGuard, LedgerTotals
from synclr_assets.cost.settings_files import SettingsFileError
from synclr_assets.cost.summary import Spent, spent_by
from synclr_assets.stages import backgrounds
from synclr_assets.stages.ledger import Prices, ledger_row
from synclr_assets.stages.progress import BeforeBatch
from synclr_assets.store.schemas import TABLES
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import StageWriter, Unit, stage_cursor
from synclr_assets.synthesis.protocols import Completion
from tests.synclr_assets.conftest import DATASET_STAGES, Stages, content_of

FRUIT = Unit("fruit", 0)
PRICES = Prices(usd_per_million_prompt_tokens=1e6)  # one dollar a token read
FREE = Expected(usd=0, tokens=0, gpu_seconds=0, requests=0)


def commit(store: Store, unit: Unit, end: int, *, tokens: int, run_id: str = "run") -> None:
    """One committed batch of captions that read so many tokens, at a dollar each."""
    writer = StageWriter.open(store.tables, "captions", unit, sides=("ledger",))
    units = end - writer.cursor
    row = ledger_row(
        "captions",
        unit,
        writer.cursor,
        units=units,
        generator="model",
        completions=[Completion("", tokens, 0)],
        wall_seconds=1.0,
        prices=PRICES,
        run_id=run_id,
    )
    writer.commit(end, rows_of("captions", []), {"ledger": row})


def guard_of(store: Store, budget: Budget, unit: Unit = FRUIT, run_id: str = "run") -> BudgetGuard:
    return BudgetGuard(store.tables, unit, "captions", run_id, budget)


@pytest.mark.parametrize(
    ("limits", "fits"),
    [({"usd": 30}, True), ({"usd": 29.99}, False), ({"tokens": 29}, False), ({"requests": 2}, False),
     ({"requests": 3}, True), ({"captions": 29}, False), ({"captions": 30}, True), ({"gpu_seconds": 0}, True)],
)  # fmt: skip
def test_a_batch_begins_only_where_it_ends_within_the_limit(
    store: Store, limits: dict[str, float], fits: bool
) -> None:
    commit(store, FRUIT, 10, tokens=10)
    commit(store, FRUIT, 20, tokens=10)
    guard = guard_of(store, Budget(buckets={"fruit": Limits.model_validate(limits)}))
    if fits:
        guard.before(10)
    else:
        with pytest.raises(BudgetExceededError, match=rf"raise buckets\.fruit\.{next(iter(limits))} in"):
            guard.before(10)


def test_the_sentence_says_how_far_what_next_and_how_to_go_on(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "budgets.yaml"
    path.write_text("each_bucket: {usd: 25}\n")
    commit(store, FRUIT, 20, tokens=20)
    with pytest.raises(BudgetExceededError) as raised:
        guard_of(store, read_budget(path)).before(10)
    assert str(raised.value) == (
        "captions of fruit generation 0 stopped at 20 committed: each_bucket has spent 20 USD of 25 USD and the "
        f"next 10 would cost about 10 USD; raise each_bucket.usd in {path} and run it again to continue from there."
    )


def test_each_scope_counts_its_own(store: Store) -> None:
    commit(store, FRUIT, 10, tokens=10, run_id="first")
    commit(store, Unit("fruit", 1), 10, tokens=10, run_id="second")
    commit(store, Unit("patterns", 0), 10, tokens=10, run_id="second")

    def fits(budget: Budget, run_id: str = "second") -> bool:
        try:
            guard_of(store, budget, run_id=run_id).before(5)
        except BudgetExceededError:
            return False
        return True

    assert fits(Budget(stages={"captions": Limits(usd=35)}))
    assert not fits(Budget(stages={"captions": Limits(usd=34)}))
    assert fits(Budget(run=Limits(usd=25)))
    assert not fits(Budget(run=Limits(usd=24)))
    assert fits(Budget(run=Limits(usd=15)), run_id="first")
    assert fits(Budget(run=Limits(usd=5)), run_id="third")
    assert fits(Budget(buckets={"fruit": Limits(usd=15)}))
    assert not fits(Budget(buckets={"fruit": Limits(usd=14)}))
    assert fits(Budget(buckets={"fruit": Limits(usd=15)}, each_bucket=Limits(usd=1)))
    assert fits(Budget(stages={"images": Limits(usd=1)}))


def test_the_first_batch_is_estimated_by_the_budget_then_by_other_buckets_else_refused(store: Store) -> None:
    limited = Budget(run=Limits(usd=10))
    with pytest.raises(
        BudgetExceededError, match=r"limits run\.usd, but what the first batch costs is not known"
    ):
        guard_of(store, limited).before(1)
    guard_of(store, limited.model_copy(update={"expected": {"captions": Expected(usd=1)}})).before(10)
    with pytest.raises(BudgetExceededError, match="the next 11 would cost about 11 USD"):
        guard_of(store, limited.model_copy(update={"expected": {"captions": Expected(usd=1)}})).before(11)
    commit(store, Unit("patterns", 0), 10, tokens=20, run_id="earlier")
    guard_of(store, limited).before(5)
    with pytest.raises(BudgetExceededError, match="the next 6 would cost about 12 USD"):
        guard_of(store, limited).before(6)


def test_batches_let_through_and_not_yet_committed_are_counted(store: Store) -> None:
    commit(store, FRUIT, 10, tokens=10)
    guard = guard_of(store, Budget(run=Limits(usd=25)))
    guard.before(10)
    with pytest.raises(BudgetExceededError, match="the next 20 would cost about 20 USD"):
        guard.before(10)
    commit(store, FRUIT, 20, tokens=1)  # cheaper than the estimate
    guard.before(5)


def test_a_row_that_a_kill_left_is_not_spent_once_the_stage_is_open_again(store: Store) -> None:
    commit(store, FRUIT, 10, tokens=10)
    row = ledger_row(
        "captions", FRUIT, 10, units=1, generator="model", wall_seconds=1.0, usd=99.0, run_id="run"
    )
    handle = store.tables.open("ledger")
    assert handle is not None
    store.tables.append(handle, "ledger", row)
    ledger = LedgerTotals(store.tables)
    assert sum(spent.usd for spent in ledger.refresh().values()) == 109
    StageWriter.open(store.tables, "captions", FRUIT, sides=("ledger",))
    assert sum(spent.usd for spent in ledger.refresh().values()) == 10


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    price=st.integers(0, 50),
    limit=st.integers(0, 400),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_with_even_batches_spending_never_passes_the_limit(sizes: list[int], price: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        budget = Budget(run=Limits(usd=limit), expected={"captions": Expected(usd=price)})
        guard, end = guard_of(store, budget), 0
        for size in sizes:
            try:
                guard.before(size)
            except BudgetExceededError:
                assert end * price + size * price > limit
                break
            end += size
            commit(store, FRUIT, end, tokens=size * price)
        assert spent_by(store.tables).get((), Spent()).usd == end * price <= limit


@dataclass(frozen=True)
class Stop:
    """A limit that stops a stage, after how many cursor values at the latest, and its name."""

    stage: str
    budget: Budget
    at_most: int
    names: str


def stop_at(stage: str, at_most: int, **limit: float) -> Stop:
    """By a limit of the stage itself."""
    budget = Budget(stages={stage: Limits.model_validate(limit)})
    return Stop(stage, budget, at_most, rf"stages\.{stage}\.{next(iter(limit))}")


STOPS = [
    stop_at("captions", 0, captions=0),
    stop_at("captions", 14, captions=20),
    stop_at("backgrounds", 0, requests=1),
    stop_at("backgrounds", 2, requests=2),
    stop_at("enriched_captions", 7, captions=9),
    stop_at("images", 0, captions=0),
    stop_at("images", 9, captions=9),
    Stop("shards", Budget(each_bucket=Limits(requests=1)), 0, r"each_bucket\.requests"),
]
KNOWN = {"backgrounds": Costs(requests=1), "shards": Costs()}


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: f"{stop.stage}-{stop.at_most}")
def test_every_stage_continues_after_raising_to_the_rows_of_an_undisturbed_run(
    bank: ConceptBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: Stop
) -> None:
    monkeypatch.setattr(backgrounds, "CONCEPTS_PER_COMMIT", 2)
    stopped, undisturbed = Stages(bank, Store(tmp_path / "a")), Stages(bank, Store(tmp_path / "b"))
    runs_in = "enriched_captions" if stop.stage == "backgrounds" else stop.stage
    place = DATASET_STAGES.index(runs_in)
    for stages in (stopped, undisturbed):
        for stage in DATASET_STAGES[:place]:
            stages.run(stage, FRUIT)
    with pytest.raises(BudgetExceededError, match=f"^{stop.stage} of fruit .*raise {stop.names} in"):
        stopped.run(runs_in, FRUIT, guards(stopped.store, stop.budget))
    done = stage_cursor(stopped.store.tables, stop.stage, FRUIT)
    assert done <= stop.at_most
    assert done == stop.at_most or stop.stage == "images"
    stopped.run(runs_in, FRUIT, guards(stopped.store, Budget()))
    undisturbed.run(runs_in, FRUIT)
    for stages in (stopped, undisturbed):
        for stage in DATASET_STAGES[place + 1 :]:
            stages.run(stage, FRUIT)
    assert content_of(stopped.store) == content_of(undisturbed.store)
    assert ledger_of(stopped.store) == ledger_of(undisturbed.store)


def guards(store: Store, budget: Budget) -> Callable[[str, Unit], BeforeBatch]:
    """The guard of each stage, as the assets wire it for generators that ask nobody."""

    def guard_of_stage(stage: str, unit: Unit) -> BeforeBatch:
        return BudgetGuard(store.tables, unit, stage, "run", budget, known=KNOWN.get(stage)).before

    return guard_of_stage


def ledger_of(store: Store) -> list[dict[str, object]]:
    clock = {"at", "wall_seconds", "gpu_seconds"}
    columns = [name for name in TABLES["ledger"].schema.names if name not in clock]
    order = [("stage", "ascending"), ("position", "ascending")]
    return store.tables.read("ledger", columns=columns).sort_by(order).to_pylist()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("run: {usd: -1}", "run.usd: input should be greater than or equal to 0, not -1; correct it."),
        ("run: {dollars: 1}", "run.dollars: this is no key of the file; remove it or correct its spelling."),
        ("runs: {usd: 1}", "runs: this is no key of the file; remove it or correct its spelling."),
        ("stages: {painting: {usd: 1}}", "stages: 'painting' is no stage to limit; use one of captions,"),
        ("run: {usd: many}", "run.usd: input should be a valid number"),
        ("- 1", "holds no keys with values; write them such as `run: {usd: 20}`."),
        ("run: {", "is not valid YAML"),
    ],
)
def test_a_faulty_file_is_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "budgets.yaml"
    path.write_text(text)
    with pytest.raises(SettingsFileError) as raised:
        budget_of({"SYNCLR_BUDGETS": str(path)})
    assert str(path) in str(raised.value)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_without_a_budget_nothing_is_limited_and_nothing_read(tmp_path: Path) -> None:
    assert budget_of({}) is None
    BudgetGuard(Store(tmp_path / "missing").tables, FRUIT, "captions", "run", None).before(10**9)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsFileError, match="cannot be read"):
        budget_of({"SYNCLR_BUDGETS": str(tmp_path / "none.yaml")})


def test_allows_is_about_every_scope() -> None:
    budget = Budget(run=Limits(usd=10), buckets={"fruit": Limits(tokens=5)}, expected={"captions": FREE})
    spent = {"run": Costs(usd=5), "buckets.fruit": Costs(tokens=5)}
    nothing, token = Costs(), Costs(tokens=1)
    assert budget.allows(spent, {"run": nothing, "buckets.fruit": nothing}, FRUIT, "captions")
    assert not budget.allows(spent, {"run": nothing, "buckets.fruit": token}, FRUIT, "captions")
    assert not budget.allows(spent, {"run": Costs(usd=None), "buckets.fruit": nothing}, FRUIT, "captions")
