"""Sending OpenLineage events where their standard configuration says so. Whatever goes wrong, no stage fails by it.

Loads `openlineage` at the first event only, and not at all where nothing is configured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent

CONFIG_FILE = "openlineage.yml"
SECRET_WORDS = ("KEY", "SECRET", "TOKEN", "PASSWORD", "WEBHOOK")
MIN_SECRET_CHARS = 8
QUIET_SECONDS = 60.0
"""How long nothing is sent after a failure: a server that is down costs its time-outs once a minute, not per event."""


def is_configured(environment: Mapping[str, str]) -> bool:
    """Whether the environment or a file names a place for events, as `openlineage-python` looks for it."""
    if environment.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OPENLINEAGE_URL") or any(
        name.startswith("OPENLINEAGE__TRANSPORT") for name in environment
    ):
        return True
    named = environment.get("OPENLINEAGE_CONFIG")
    places = [
        Path(CONFIG_FILE),
        Path.home() / ".openlineage" / CONFIG_FILE,
        *([Path(named)] if named else []),
    ]
    return any(place.is_file() for place in places)


def without_secrets(text: str, environment: Mapping[str, str]) -> str:
    """The text, less every value of an environment variable whose name says that it is secret."""
    for name, value in environment.items():
        if len(value) >= MIN_SECRET_CHARS and any(word in name.upper() for word in SECRET_WORDS):
            text = text.replace(value, f"<{name}>")
    return text


class Emitter:
    """Sends events of this process. The first failure is told once; the next minute after any one is silent."""

    def __init__(self) -> None:
        self._client: OpenLineageClient | None = None
        self._quiet_until = 0.0
        self._has_warned = False

    def emit(self, make: Callable[[], RunEvent], warn: Callable[[str], None]) -> None:
        """Send the event that `make` builds. Never raises an Exception."""
        if time.monotonic() < self._quiet_until:
            return
        try:
            if self._client is None:
                self._client = new_client()
            self._client.emit(make())
        except Exception as error:  # noqa: BLE001 - telling others must not fail what is told
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            if not self._has_warned:
                self._has_warned = True
                warn(_sentence(error))


def emitter() -> Emitter:
    """The one of this process for the configuration as it is now."""
    named = (os.environ.get("OPENLINEAGE_URL"), os.environ.get("OPENLINEAGE_CONFIG"))
    return _emitter_of(*named, os.getcwd())


def new_client() -> OpenLineageClient:
    """The package's own client, less what it would add about the git repository of the working folder."""
    from openlineage.client import OpenLineageClient

    return OpenLineageClient(config={"facets": {"source_code_location": {"disabled": True}}})


@lru_cache(maxsize=8)
def _emitter_of(*_: object) -> Emitter:
    return Emitter()


def _sentence(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "OpenLineage is configured, but its package is missing: pip install 'synclr[lineage]'."
    said = without_secrets(f"{type(error).__name__}: {' '.join(str(error).split())}", os.environ)
    return f"No OpenLineage event was sent ({said}); the stage goes on, `synclr lineage openlineage` sends it later."
