"""Progress in a run's log: often enough to watch, seldom enough to cost nothing."""

import logging

import dagster as dg
import pytest

from synclr_assets.defs import observations


def test_progress_is_told_at_its_begin_once_a_second_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter([0.0, 0.0, 0.4, 0.8, 1.2, 1.2, 1.6, 1.8])
    monkeypatch.setattr("synclr_assets.defs.observations.time.monotonic", lambda: next(clock))
    context = dg.build_asset_context()
    context.log.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        tell = observations.progress_log(context, "images")
        for done in range(1, 7):
            tell(done, 6)
    told = [record.getMessage().rsplit(" - ", 1)[-1] for record in caplog.records]
    assert told == ["images 1 of 6", "images 4 of 6", "images 6 of 6"]
