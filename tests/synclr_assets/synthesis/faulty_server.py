"""An OpenAI-shaped server on a real socket that answers some requests by a fault, and counts what it delivered.

Speaks completions, chat completions, files and batches. What it writes depends on the request alone, so that a
request sent twice is seen as such. A delivery counts once its last byte is sent; a batch item once it was worked off.
"""

from __future__ import annotations

import email
import hashlib
import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from synclr_assets.synthesis.identity import draw, draw_unit

KEY = "sk-test-4f8e1c0b7a6d5e3f2a1b"
MODEL = "tiny-writer"
HELD_BACK = ("429", "500", "hang", "cut", "half")
"""Faults that deliver nothing."""
SPOILED = ("wrong_number", "refusal", "language")
"""Faults that deliver, and charge for, something unusable."""
FAULTS = HELD_BACK + SPOILED

ADJECTIVES = [
    "old",
    "tall",
    "bright",
    "quiet",
    "narrow",
    "wooden",
    "golden",
    "misty",
    "busy",
    "faded",
    "gentle",
    "rough",
    "silver",
    "empty",
    "warm",
]
NOUNS = [
    "table",
    "meadow",
    "harbour",
    "street",
    "river",
    "window",
    "garden",
    "bridge",
    "market",
    "valley",
    "shelf",
    "courtyard",
    "beach",
    "barn",
    "hill",
]
VERBS = ["rests", "stands", "waits", "shines", "leans", "glows", "appears", "lies", "sits", "gleams"]
PLACES = ["beside", "under", "behind", "above", "near", "beyond", "below", "opposite"]


class FaultyServer:
    """Use as a context manager; `fault_share` of the requests meet a fault out of `faults`."""

    def __init__(
        self, fault_share: float = 0.0, faults: tuple[str, ...] = FAULTS, polls_per_batch: int = 2
    ) -> None:
        self.fault_share = fault_share
        self.faults = faults
        self.polls_per_batch = polls_per_batch
        self.honours_idempotency = False
        """Whether a request is answered again for nothing under an Idempotency-Key that was delivered."""
        self.list_seconds = 0.0
        """How long a background list takes to be written."""
        self.lock = threading.Lock()
        self.num_requests = 0
        self.seen: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        """Request key -> deliveries."""
        self.tokens: Counter[str] = Counter()
        self.files: dict[str, str] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.stopping = threading.Event()
        server = self

        class Handler(_Handler):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> FaultyServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def num_delivered(self) -> int:
        return sum(self.delivered.values())

    @property
    def bought_twice(self) -> int:
        """Deliveries beyond the first of their request key."""
        return sum(count - 1 for count in self.delivered.values())

    def fault_for(self, content: str) -> str | None:
        """Drawn by what is asked and how often it was asked before."""
        with self.lock:
            self.num_requests += 1
            self.seen[content] += 1
            times = self.seen[content]
        fault = None
        if self.faults and draw_unit("fault", content, times) < self.fault_share:
            fault = draw("which", content, times, choices=self.faults)
        with self.lock:
            self.met[fault or "none"] += 1
        return fault

    def count_delivery(self, key: str, usage: dict[str, int]) -> None:
        with self.lock:
            self.delivered[key] += 1
            self.tokens.update({name: usage[name] for name in ("prompt_tokens", "completion_tokens")})


class _Handler(BaseHTTPRequestHandler):
    owner: FaultyServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *arguments: Any) -> None:
        return

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return self._error(401, f"Incorrect API key provided: {self.headers.get('Authorization')}")
        path = self.path.removeprefix("/v1")
        if path in ("/completions", "/chat/completions"):
            return self._complete(raw)
        if fault := self._held_back(path + hashlib.sha256(raw[-2000:]).hexdigest()):
            return self._fail(fault, {"object": "file"})
        if path == "/files":
            return self._reply(self._upload(raw))
        return self._reply(self._create_batch(json.loads(raw)))

    def do_GET(self) -> None:
        path = self.path.removeprefix("/v1")
        if fault := self._held_back(path):
            return self._fail(fault, {"object": "batch", "status": "unknown", "id": "x" * 50})
        if match := re.fullmatch(r"/files/(.*)/content", path):
            return self._send(200, self.owner.files[match[1]].encode())
        if path.startswith("/batches?"):
            jobs = [_public(job) for job in reversed(self.owner.batches.values())]
            if match := re.search(r"after=([^&]*)", path):
                jobs = jobs[[job["id"] for job in jobs].index(match[1]) + 1 :]
            return self._reply({"object": "list", "data": jobs[:2], "has_more": len(jobs) > 2})
        job = self.owner.batches[path.removeprefix("/batches/")]
        job["polls"] += 1
        if job["polls"] >= self.owner.polls_per_batch and job["status"] == "in_progress":
            _work_off(self.owner, job)
        return self._reply(_public(job))

    def _held_back(self, content: str) -> str | None:
        fault = self.owner.fault_for(content)
        return fault if fault in HELD_BACK else None

    def _complete(self, raw: bytes) -> None:
        body = json.loads(raw)
        if body["model"] != MODEL:
            return self._error(404, f"The model `{body['model']}` has been deprecated", "model_not_found")
        fault = self.owner.fault_for(raw.decode())
        answer = completion_of(body, fault)
        if "Name " in raw.decode():
            self.owner.stopping.wait(self.owner.list_seconds)
        if fault in HELD_BACK:
            return self._fail(fault, answer)
        self._reply(answer)
        key = self.headers.get("X-Client-Request-Id") or hashlib.sha256(raw).hexdigest()
        if self.owner.honours_idempotency and self.owner.delivered[self.headers["Idempotency-Key"]]:
            return None
        return self.owner.count_delivery(key, answer["usage"])

    def _upload(self, raw: bytes) -> dict[str, Any]:
        message = email.message_from_bytes(
            b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + raw
        )
        parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}  # type: ignore[union-attr]
        name = f"file-{len(self.owner.files)}"
        self.owner.files[name] = parts["file"].get_payload(decode=True).decode()  # type: ignore[union-attr]
        return {"id": name, "object": "file"}

    def _create_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        name = f"batch-{len(self.owner.batches)}"
        job = body | {"id": name, "object": "batch", "status": "in_progress", "polls": 0, "errors": None}
        self.owner.batches[name] = job
        return _public(job)

    def _fail(self, fault: str, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        if fault == "429":
            return self._error(
                429, f"Rate limit reached for {KEY}", "rate_limit_exceeded", {"Retry-After": "0.02"}
            )
        if fault == "500":
            return self._error(500, f"The server had an error with {KEY}")
        self.close_connection = True
        if fault == "hang":
            self.owner.stopping.wait(3.0)
        elif fault == "cut":
            self._send(200, content[: len(content) // 2], claimed_bytes=len(content))
        else:
            self._send(200, content[: len(content) // 2])
        return None

    def _error(
        self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self._send(
            status, json.dumps({"error": {"message": message, "code": code}}).encode(), headers=headers
        )

    def _reply(self, answer: dict[str, Any]) -> None:
        self._send(200, json.dumps(answer).encode())

    def _send(
        self, status: int, content: bytes, *, claimed_bytes: int = 0, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(claimed_bytes or len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


def completion_of(body: dict[str, Any], fault: str | None) -> dict[str, Any]:
    """The response body to a request body."""
    identity = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    asked = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    refusal = "I'm sorry, but I can't help with that." if fault == "refusal" else None
    listing = re.match(r"Name (\d+) ", asked)
    rewriting = re.match(r"This caption describes a picture of (.*?): (.*)", asked)
    if listing:
        text = _listing(identity, int(listing[1]), fault)
    elif rewriting:
        text = _rewriting(identity, rewriting[1], rewriting[2], fault)
    else:
        text = _caption(identity, asked, fault)
    usage = {"prompt_tokens": len(asked.split()), "completion_tokens": len(text.split())}
    if "prompt" in body:
        choice: dict[str, Any] = {"text": refusal or f" {text}\nand more", "finish_reason": "stop"}
    else:
        message = {"role": "assistant", "content": None if refusal else text, "refusal": refusal}
        choice = {"message": message, "finish_reason": "stop"}
    return {"id": "c-1", "model": body["model"], "choices": [{"index": 0, **choice}], "usage": usage}


def _listing(identity: str, count: int, fault: str | None) -> str:
    if fault == "language":
        names = [f"auf dem Tisch und der Wiese mit einem Stuhl {number}" for number in range(count)]
    else:
        names = [
            f"a {draw(identity, n, choices=ADJECTIVES)} {NOUNS[n % 15]} by day {n}" for n in range(count)
        ]
    return json.dumps({"backgrounds": names[:2] if fault == "wrong_number" else names})


def _rewriting(identity: str, concept: str, caption: str, fault: str | None) -> str:
    if fault == "language":
        return json.dumps(
            {"background": "eine Wiese", "caption": f"Das ist {concept} auf der Wiese und im Gras."}
        )
    background = f"the {draw(identity, 1, choices=ADJECTIVES)} {draw(identity, 2, choices=NOUNS)}"
    caption = f"{caption.rstrip('.')} with {background} and {_words(identity)}."
    answer = {"background": background, "caption": caption}
    return json.dumps(answer)[:20] if fault == "wrong_number" else "```json\n" + json.dumps(answer) + "\n```"


def _caption(identity: str, prompt: str, fault: str | None) -> str:
    query = prompt.strip().splitlines()[-1].partition("=>")[0].strip()
    concept, _, detail = query.partition(", ")
    if fault == "language":
        return f"Das ist ein Bild mit {concept} auf dem Tisch und der Wiese."
    if fault == "wrong_number":
        return ""
    return f"The {concept} {draw(identity, choices=VERBS)} {detail} {_words(identity)}."


def _words(identity: str) -> str:
    return " ".join(
        f"{draw(identity, 'p', n, choices=PLACES)} the {draw(identity, 'a', n, choices=ADJECTIVES)} "
        f"{draw(identity, 'n', n, choices=NOUNS)}"
        for n in range(3)
    )


def _public(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job.items() if name != "polls"}


def _work_off(owner: FaultyServer, job: dict[str, Any]) -> None:
    """End a batch job: items are done, failed, or, where the job expires half-way, left undone."""
    fate = owner.fault_for("job" + job["input_file_id"]) and draw(
        "fate", job["id"], choices=("failed", "expired")
    )
    if fate == "failed":
        job |= {"status": "failed", "errors": {"data": [{"code": "internal", "message": f"broke for {KEY}"}]}}
        return
    lines = [json.loads(line) for line in owner.files[job["input_file_id"]].splitlines()]
    done, undone = [], []
    for number, line in enumerate(lines):
        key, fault = line["custom_id"], owner.fault_for(line["custom_id"])
        if fate == "expired" and number >= len(lines) // 2:
            undone.append({"custom_id": key, "response": None, "error": {"code": "batch_expired"}})
        elif fault in HELD_BACK:
            failed = {"status_code": 500, "body": {"error": {"message": f"broke for {KEY}"}}}
            undone.append({"custom_id": key, "response": failed, "error": None})
        else:
            answer = completion_of(line["body"], fault)
            owner.count_delivery(key, answer["usage"])
            done.append({"custom_id": key, "response": {"status_code": 200, "body": answer}, "error": None})
    for field, rows in (("output_file_id", done), ("error_file_id", undone)):
        if rows:
            owner.files[f"{job['id']}-{field}"] = "".join(json.dumps(row) + "\n" for row in rows)
            job[field] = f"{job['id']}-{field}"
    job["completed_at"] = time.time()
    job["status"] = "expired" if fate == "expired" else "completed"
