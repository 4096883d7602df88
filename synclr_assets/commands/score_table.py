"""Scores of a model beside its baselines, as a table that fits a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from synclr_assets.report.scores import comparisons_of, spelled, subjects_of


def score_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The model beside its baselines, one line per score, in percent with 95 % intervals."""
    comparisons = comparisons_of(rows)
    subjects = subjects_of(comparisons)
    table = Table(title="scores in %, with 95 % intervals", title_justify="left")
    table.add_column("data set")
    table.add_column("metric")
    for subject in subjects:
        table.add_column(spelled(subject), justify="right", no_wrap=True)
    shown = ""
    for comparison in comparisons:
        cells = []
        for subject in subjects:
            scored = comparison.scores.get(subject)
            cells.append(_cell(scored.value, scored.ci_low, scored.ci_high) if scored else "")
        table.add_row(
            "" if comparison.dataset == shown else comparison.dataset, spelled(comparison.metric), *cells
        )
        shown = comparison.dataset
    return table


def _cell(value: float, ci_low: float, ci_high: float) -> str:
    return f"{100 * value:.1f}\n[dim]{100 * ci_low:.1f}-{100 * ci_high:.1f}[/dim]"
