"""Telling people: a failed run or check goes to the webhook that SYNCLR_ALERT_WEBHOOK names.

The URL is a secret: it is read where a message is sent, and stands in no log, error, config or definition.
"""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence

import dagster as dg

from synclr_assets.defs.automation import LOCATION
from synclr_assets.defs.check_verdicts import buckets_of_failure, failures_of
from synclr_assets.environment import ALERT_WEBHOOK

TIMEOUT_SECONDS = 5.0
MAX_NEW_FAILURES = 50
"""Failed evaluations looked at per check and tick."""


class AlertError(ValueError):
    """A message that the webhook did not take; says why without saying where it is."""


def send_alert(url: str, text: str) -> None:
    """POST {"text": ...}, which Slack, Mattermost and Teams-like hooks read. Raises AlertError."""
    try:
        request = urllib.request.Request(
            url, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            pass
    except urllib.error.HTTPError as error:
        raise AlertError(f"The webhook of {ALERT_WEBHOOK} answered {error.code}.") from None
    except (OSError, ValueError) as error:
        raise AlertError(
            f"The webhook of {ALERT_WEBHOOK} was not reached ({type(error).__name__}): check the variable."
        ) from None


def failed_run_alert() -> dg.SensorDefinition:
    """One message per failed run, while the sensor is on.

    A run of the command line belongs to no code location, so all are looked at and only other locations' left out.
    """

    @dg.run_failure_sensor(
        name="alert_on_failed_run",
        monitor_all_code_locations=True,
        description=(
            f"Posts every failed run, of the UI and of the command line, to the webhook that {ALERT_WEBHOOK} names."
        ),
    )
    def alert_on_failed_run(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        url = os.environ.get(ALERT_WEBHOOK)
        if not url:
            return dg.SkipReason(f"{ALERT_WEBHOOK} is not set")
        run = context.dagster_run
        origin = run.remote_job_origin
        if origin is not None and origin.repository_origin.code_location_origin.location_name != LOCATION:
            return None  # a reason to skip would fail a tick that has told of another run
        partition = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start")
        about = f"synclr: run {run.run_id[:8]} of {run.job_name} ({partition}) failed"
        send_alert(url, f"{about}: {context.failure_event.message}")
        return None

    return alert_on_failed_run


def failed_check_alert(checks: Sequence[dg.AssetCheckKey]) -> dg.SensorDefinition:
    """One message per tick with all checks that failed since the one before, while the sensor is on."""

    @dg.sensor(
        name="alert_on_failed_check",
        minimum_interval_seconds=60,
        description=f"Posts newly failed checks to the webhook that {ALERT_WEBHOOK} names.",
    )
    def alert_on_failed_check(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        url = os.environ.get(ALERT_WEBHOOK)
        if not url:
            return dg.SkipReason(f"{ALERT_WEBHOOK} is not set")
        seen = None if context.cursor is None else int(context.cursor)
        newest, lines = seen or 0, []
        for check in checks:
            for record in failures_of(context.instance, check, MAX_NEW_FAILURES):
                newest = max(newest, record.id)
                if seen is not None and record.id > seen:
                    units = ", ".join(f"{b} generation {g}" for b, g in buckets_of_failure(record))
                    lines.append(f"{check.asset_key.to_user_string()} / {check.name}: {units or 'failed'}")
        if lines:
            send_alert(url, "synclr: checks failed\n" + "\n".join(sorted(lines)))
        return dg.SensorResult(cursor=str(newest))

    return alert_on_failed_check
