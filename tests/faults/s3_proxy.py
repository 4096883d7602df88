"""A proxy before an S3 server that fails in the ways object stores do: errors, silence, lost answers, cut uploads."""

from __future__ import annotations

import http.client
import random
import socket
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

FAULTS = ("500", "503", "slow", "lost answer", "cut upload")
SLOW_SECONDS = 0.5


class FaultyS3:
    """Serves on a free port of 127.0.0.1; every request fails with the given chance, by a seeded draw."""

    def __init__(self, backend: str, share: float, seed: int) -> None:
        self.backend = urlparse(backend).netloc
        self.share = share
        self.injected: Counter[str] = Counter()
        self._draws = random.Random(seed)
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fault(self) -> str | None:
        """What happens to the next request."""
        with self._lock:
            if self._draws.random() >= self.share:
                return None
            name = self._draws.choice(FAULTS)
            self.injected[name] += 1
            return name

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up first is no news; anything else is."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    owner: FaultyS3
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        fault = self.owner.fault()
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "cut upload":
            self.rfile.read(length // 2)
            self._hang_up()
            return
        body = self.rfile.read(length)
        if fault in ("500", "503"):
            self._answer(int(fault), {}, b"")
            return
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        connection = http.client.HTTPConnection(self.owner.backend, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection.request(self.command, self.path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        if fault == "lost answer":
            self._hang_up()
            return
        self._answer(answer.status, dict(answer.getheaders()), content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        size = headers.get("Content-Length", "0") if is_head else str(len(content))
        self.send_header("Content-Length", size)
        self.end_headers()
        if not is_head:
            self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 - the base class calls them so

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the test counts."""
