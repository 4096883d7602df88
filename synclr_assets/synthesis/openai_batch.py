"""Batch jobs of an OpenAI-compatible provider: submitted once, found again after any interruption.

A note is kept before a job is created and dropped after all its deliveries are kept. So what was submitted is waited
for and collected, never bought again; only items that failed or expired are submitted anew.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from synclr_assets.synthesis.openai_answers import (
    ApiError,
    TryAgain,
    UnknownModelError,
    answer_of,
    undelivered,
)
from synclr_assets.synthesis.openai_rate import backoff_seconds
from synclr_assets.synthesis.openai_settings import OpenAIServerSettings
from synclr_assets.synthesis.purchases import Delivery, DeliveryMemory

if TYPE_CHECKING:
    from synclr_assets.synthesis.openai_client import ApiRequest, Connection

METADATA_KEY = "synclr_job"
"""Metadata field by which a job is found again whose id was never learnt."""
COMPLETION_WINDOW: Literal["24h"] = "24h"
_ENDED = {"completed", "failed", "expired", "cancelled"}
_PATH_OF = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}
_JOBS_PER_PAGE = 100
_log = logging.getLogger(__name__)


class BatchJobs:
    """Delivers requests by batch jobs into a memory."""

    def __init__(
        self, settings: OpenAIServerSettings, connection: Connection, memory: DeliveryMemory
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._memory = memory

    def resume(self) -> None:
        """Collect the jobs an earlier process left. Raises ApiError."""
        for name, note in self._memory.notes().items():
            job_id = note["id"] or self._find(name)
            if job_id is None:
                self._memory.drop_note(name)  # the process ended before the job was created
            else:
                self._collect(name, job_id)

    def deliver(self, requests: Sequence[ApiRequest]) -> None:
        """Submit, wait, collect; submit failed and expired items anew. Leaves fewer than a job is worth undelivered.

        Raises ApiError.
        """
        last: TryAgain | None = None
        for tries in range(self._settings.max_tries + 1):
            missing = [request for request in requests if self._memory.recall(request.key) is None]
            if len(missing) < self._settings.least_requests_per_batch:
                return
            if tries == self._settings.max_tries:
                raise undelivered(self._settings, "a batch item", last)
            if tries:
                time.sleep(backoff_seconds(tries, self._settings.max_backoff_seconds))
            jobs = [self._submit(part) for part in self._parts(missing)]
            for name, job_id in jobs:
                last = self._collect(name, job_id) or last

    def _parts(self, requests: Sequence[ApiRequest]) -> Iterator[list[ApiRequest]]:
        """Requests of one endpoint each, at most as many as one job takes."""
        size = self._settings.requests_per_batch
        for endpoint in sorted({request.endpoint for request in requests}):
            same = [request for request in requests if request.endpoint == endpoint]
            yield from (same[start : start + size] for start in range(0, len(same), size))

    def _submit(self, requests: Sequence[ApiRequest]) -> tuple[str, str]:
        """Create one job; its name and id."""
        name, path = uuid.uuid4().hex, _PATH_OF[requests[0].endpoint]
        self._memory.keep_note(name, {"id": None})
        lines = [
            json.dumps({"custom_id": one.key, "method": "POST", "url": path, "body": one.body})
            for one in requests
        ]
        payload = ("\n".join(lines) + "\n").encode()
        files = self._connection.client.files.with_raw_response
        uploaded = self._call(
            "a file upload", lambda: files.create(file=(f"{name}.jsonl", payload), purpose="batch")
        )
        job_id = self._create(name, path, uploaded["id"])
        self._memory.keep_note(name, {"id": job_id})
        _log.info("batch job %s holds %d requests", job_id, len(requests))
        return name, job_id

    def _create(self, name: str, path: str, file_id: str) -> str:
        """Create the job; where the answer is lost, look for the job before creating another."""
        batches = self._connection.client.batches.with_raw_response
        known: list[str] = []

        def create() -> Any:
            return batches.create(
                input_file_id=file_id,
                endpoint=path,  # type: ignore[arg-type]
                completion_window=COMPLETION_WINDOW,
                metadata={METADATA_KEY: name},
            )

        def look() -> bool:
            known.extend([found] if (found := self._find(name)) else [])
            return bool(known)

        created = self._call("the creation of a batch job", create, already=look)
        return known[0] if known else str(created["id"])

    def _find(self, name: str) -> str | None:
        """The id of the job that carries the name, among all jobs of the account."""
        after = ""
        while True:
            page = self._call("the list of batch jobs", partial(self._page, after))
            for job in page["data"]:
                if (job.get("metadata") or {}).get(METADATA_KEY) == name:
                    return str(job["id"])
            if not page.get("has_more") or not page["data"]:
                return None
            after = page["data"][-1]["id"]

    def _page(self, after: str) -> Any:
        batches = self._connection.client.batches.with_raw_response
        return (
            batches.list(after=after, limit=_JOBS_PER_PAGE) if after else batches.list(limit=_JOBS_PER_PAGE)
        )

    def _collect(self, name: str, job_id: str) -> TryAgain | None:
        """Wait for a job, keep its deliveries, drop its note; why items are still missing, where some are."""
        job = self._ended(job_id)
        last: TryAgain | None = None
        errors: list[ApiError] = []
        for file_id in filter(None, (job.get("output_file_id"), job.get("error_file_id"))):
            for item in self._lines(file_id):
                answer = self._judge(item)
                if isinstance(answer, Delivery):
                    self._memory.keep(item["custom_id"], answer)
                elif isinstance(answer, ApiError):
                    errors.append(answer)
                else:
                    last = answer
        self._memory.drop_note(name)
        for problem in (job.get("errors") or {}).get("data") or []:
            last = TryAgain(f"failed a job: {' '.join(str(problem.get('message')).split())[:300]}")
            judged = answer_of(self._settings, 400, {}, json.dumps({"error": problem}))
            errors += [judged] if isinstance(judged, UnknownModelError) else []
        if errors:
            raise errors[0]
        return last

    def _ended(self, job_id: str) -> dict[str, Any]:
        batches = self._connection.client.batches.with_raw_response
        while True:
            job = self._call(f"batch job {job_id}", lambda: batches.retrieve(job_id))
            if job["status"] in _ENDED:
                _log.info("batch job %s is %s", job_id, job["status"])
                return job
            time.sleep(self._settings.batch_poll_seconds)

    def _lines(self, file_id: str) -> list[dict[str, Any]]:
        """Every line of a result file; a file that breaks off is fetched again, never half read."""
        files = self._connection.client.files.with_raw_response
        return self._call("a result file", lambda: files.content(file_id), parse=_json_lines)

    def _judge(self, item: dict[str, Any]) -> Delivery | TryAgain | ApiError:
        response = item.get("response")
        if not response:
            problem = item.get("error") or {}
            return TryAgain(f"left an item undone: {problem.get('code')} {problem.get('message')}")
        text = json.dumps(response.get("body"))
        return answer_of(self._settings, int(response.get("status_code") or 0), {}, text, batched=True)

    def _call(
        self,
        what: str,
        call: Callable[[], Any],
        *,
        parse: Callable[[str], Any] = json.loads,
        already: Callable[[], bool] | None = None,
    ) -> Any:
        """The parsed body of a call, tried again where it may help; None where `already` says it took effect."""
        last: TryAgain | None = None
        for failures in range(self._settings.max_tries):
            if failures:
                own = backoff_seconds(failures, self._settings.max_backoff_seconds)
                time.sleep(max(own, (last.retry_after_seconds or 0.0) if last else 0.0))
                if already is not None and already():
                    return None
            raw = self._connection.fetch(call)
            if isinstance(raw, TryAgain):
                last = raw
                continue
            if raw.status == 200:
                try:
                    return parse(raw.text)
                except ValueError:
                    last = TryAgain("answered with half a body")
                    continue
            judged = answer_of(self._settings, raw.status, raw.headers, raw.text)
            if not isinstance(judged, TryAgain):
                raise judged if isinstance(judged, ApiError) else undelivered(self._settings, what, None)
            last = judged
        raise undelivered(self._settings, what, last)


def _json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]
