"""One run of a stage over one partition as OpenLineage run events: START, then COMPLETE, FAIL or ABORT.

Loads `openlineage`, so only what sends or writes events imports this module.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    documentation_job,
    error_message_run,
    job_type_job,
    ownership_job,
    parent_run,
    processing_engine_run,
    test_run,
)
from openlineage.client.generated.base import set_producer

from synclr_assets.provenance.openlineage_client import without_secrets
from synclr_assets.provenance.openlineage_datasets import Datasets

NAMESPACE_VARIABLE = "OPENLINEAGE_NAMESPACE"
DEFAULT_NAMESPACE = "synclr"
PRODUCER = f"https://pypi.org/project/synclr/{version('synclr')}"
RUN_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/synclr/openlineage/run")
MAX_MESSAGE_CHARS = 2000

set_producer(PRODUCER)


@dataclass(frozen=True)
class StageRun:
    """A stage over a bucket or slice. The same `once` gives the same run id, so a repeated event is the same run."""

    stage: str
    partition: str
    once: str
    description: str = ""
    owners: tuple[str, ...] = ()
    parent: tuple[str, str] | None = None
    """Run id and job name of the orchestrator's run."""

    @property
    def run_id(self) -> str:
        return str(uuid.uuid5(RUN_IDS, f"{self.once}/{self.stage}/{self.partition}"))


@dataclass(frozen=True)
class Verdict:
    """How one check of the run's output went."""

    name: str
    passed: bool
    is_error: bool
    description: str = ""


def started(run: StageRun, at: datetime | None = None) -> RunEvent:
    """The run has begun; what it reads is not known yet."""
    return _event(run, RunState.START, at, {}, ([], []))


def completed(
    run: StageRun, datasets: Datasets, verdicts: Sequence[Verdict] = (), at: datetime | None = None
) -> RunEvent:
    """The run's rows are committed. A failed check does not make it a failed run: `test` says so."""
    facets: dict[str, Any] = {}
    if verdicts:
        facets["test"] = test_run.TestRunFacet([_test(verdict) for verdict in verdicts])
    return _event(run, RunState.COMPLETE, at, facets, datasets)


def failed(run: StageRun, error: BaseException, at: datetime | None = None) -> RunEvent:
    """The run ended in an error, or was ended (ABORT) by something that is no Exception. No stack trace is told."""
    state = RunState.FAIL if isinstance(error, Exception) else RunState.ABORT
    message = without_secrets(f"{type(error).__name__}: {' '.join(str(error).split())}", os.environ)
    told = error_message_run.ErrorMessageRunFacet(message[:MAX_MESSAGE_CHARS], programmingLanguage="python")
    return _event(run, state, at, {"errorMessage": told}, ([], []))


def _event(
    run: StageRun, state: RunState, at: datetime | None, facets: dict[str, Any], datasets: Datasets
) -> RunEvent:
    inputs, outputs = datasets
    return RunEvent(
        eventType=state,
        eventTime=(at or datetime.now(UTC)).isoformat(),
        run=Run(run.run_id, {**_run_facets(run), **facets}),
        job=Job(_namespace(), f"{run.stage}.{run.partition}", _job_facets(run)),
        inputs=inputs,
        outputs=outputs,
    )


def _run_facets(run: StageRun) -> dict[str, Any]:
    engine = processing_engine_run.ProcessingEngineRunFacet(
        version=version("dagster"), name="Dagster", openlineageAdapterVersion=version("synclr")
    )
    facets: dict[str, Any] = {"processing_engine": engine}
    if run.parent is not None:
        run_id, job = run.parent
        facets["parent"] = parent_run.ParentRunFacet(
            parent_run.Run(run_id), parent_run.Job(_namespace(), job)
        )
    return facets


def _job_facets(run: StageRun) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="DAGSTER", jobType="ASSET"
        )
    }
    if run.description:
        facets["documentation"] = documentation_job.DocumentationJobFacet(run.description)
    if run.owners:
        named = [ownership_job.Owner(name=owner, type="MAINTAINER") for owner in run.owners]
        facets["ownership"] = ownership_job.OwnershipJobFacet(named)
    return facets


def _test(verdict: Verdict) -> test_run.TestExecution:
    return test_run.TestExecution(
        name=verdict.name,
        status="pass" if verdict.passed else "fail",
        severity="error" if verdict.is_error else "warn",
        description=verdict.description or None,
    )


def _namespace() -> str:
    return os.environ.get(NAMESPACE_VARIABLE) or DEFAULT_NAMESPACE
