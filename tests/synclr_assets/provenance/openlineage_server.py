"""A lineage server on a socket, and a strict reading of what it got against the client package's typed facets."""

from __future__ import annotations

import importlib
import json
import pkgutil
import threading
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

import attr
from openlineage.client import facet_v2, generated
from openlineage.client.event_v2 import RunEvent

FACETS = ("facets", "inputFacets", "outputFacets")


class LineageServer:
    """Keeps every body that is posted to it, and answers with `status`."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.status = 201
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def lineage_server() -> Iterator[LineageServer]:
    server = LineageServer()
    try:
        yield server
    finally:
        server.close()


class _Handler(BaseHTTPRequestHandler):
    owner: LineageServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/api/v1/lineage", self.path
        self.owner.bodies.append(body)
        self.send_response(self.owner.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the test counts."""


def check_event(event: dict[str, Any]) -> None:
    """Fail unless the event has every required field, no unknown one, and values of the declared types, facets too.

    The package's classes are generated from the specification's JSON schemas; each facet is read by the class that
    its `_schemaURL` names.
    """
    _check(event, RunEvent, "event")


def _check(value: Any, kind: Any, where: str) -> None:
    origin = typing.get_origin(kind)
    if kind is Any:
        return
    if origin in (typing.Union, types.UnionType):
        if value is not None:
            (inner,) = [one for one in typing.get_args(kind) if one is not type(None)]
            _check(value, inner, where)
    elif origin is list:
        assert isinstance(value, list), where
        for number, one in enumerate(value):
            _check(one, typing.get_args(kind)[0], f"{where}[{number}]")
    elif origin is dict:
        assert isinstance(value, dict), where
        for name, one in value.items():
            is_facet = where.rpartition(".")[2] in FACETS
            _check(one, _facet_class(one) if is_facet else typing.get_args(kind)[1], f"{where}.{name}")
    elif isinstance(kind, type) and issubclass(kind, Enum):
        assert value in [one.value for one in kind], (where, value)
    elif attr.has(kind):
        _check_fields(value, kind, where)
    else:
        assert type(value) is kind, (where, value, kind)
        if where.endswith(("producer", "URL")):
            assert urlparse(value).scheme, (where, value)


def _check_fields(value: Any, kind: Any, where: str) -> None:
    assert isinstance(value, dict), where
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in attr.fields(kind)}
    assert not set(value) - set(fields), (where, set(value) - set(fields))
    for name, field in fields.items():
        if name in value:
            _check(value[name], hints[name], f"{where}.{name}")
        else:
            assert field.default is not attr.NOTHING, f"{where} has no {name}"


def _facet_class(facet: dict[str, Any]) -> Any:
    return _CLASSES[facet["_schemaURL"]]


def _classes() -> dict[str, Any]:
    assert facet_v2
    found = {}
    for one in pkgutil.iter_modules(generated.__path__):
        module = importlib.import_module(f"{generated.__name__}.{one.name}")
        for kind in vars(module).values():
            if attr.has(kind) and hasattr(kind, "_get_schema"):
                found[kind._get_schema()] = kind
    return found


_CLASSES = _classes()
