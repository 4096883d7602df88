"""One run of Dagster as lines in a terminal: what is being made, how far it is, how long it took."""

import re
import time
from types import TracebackType
from typing import Self

import dagster as dg
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from synclr_assets.provenance.scores import HEADLINE_METRICS

_DONE_OF_TOTAL = re.compile(r"\b(\d+) of (\d+)\b(.*)")
_SHOWN_FACTS = (
    "generation",
    "concepts",
    "captions",
    "images",
    "shards",
    "quarantined",
    "steps",
    "final loss",
    "effective rank",
    *HEADLINE_METRICS,
)


class RunProgress:
    """Follows one run; use it as a context manager and give `on_event` to the launcher."""

    def __init__(self, console: Console, partition: str) -> None:
        self.console = console
        self.partition = partition
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(partition, total=None, said="")
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def on_event(self, entry: dg.EventLogEntry) -> None:
        """Show one event of the run."""
        event = entry.dagster_event
        if event is None:
            self._say(entry.user_message)
        elif event.event_type == dg.DagsterEventType.STEP_START:
            self._started = time.monotonic()
            name = f"{event.step_key} [dim]{self.partition}[/dim]"
            self._bar.reset(self._task, total=None, description=name, said="")
        elif event.is_step_materialization:
            self._materialized(event)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            if not evaluation.passed:
                self.console.print(f"  [red]check {evaluation.check_name} failed[/red]")

    def _say(self, message: str) -> None:
        found = _DONE_OF_TOTAL.search(message)
        if found is not None:
            done, total, rest = int(found[1]), int(found[2]), found[3].strip(" ,")
            self._bar.update(self._task, completed=done, total=total, said=rest)

    def _materialized(self, event: dg.DagsterEvent) -> None:
        materialization = event.step_materialization_data.materialization
        facts = {
            name: value.value for name, value in materialization.metadata.items() if name in _SHOWN_FACTS
        }
        shown = ", ".join(f"{name} {_short(facts[name])}" for name in _SHOWN_FACTS if name in facts)
        name = materialization.asset_key.to_user_string()
        seconds, self._started = time.monotonic() - self._started, time.monotonic()
        partition = materialization.partition or self.partition
        self.console.print(f"{partition:<10} {name:<18} {seconds:6.1f} s  {shown}", soft_wrap=True)


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
