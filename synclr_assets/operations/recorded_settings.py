"""Which settings of a profile gave which fingerprint of rows, kept in the store by the runs that made them.

A fingerprint alone is a hash, and what gives it may need weights and a GPU to be told. So each run writes down the
pair, and telling whether a bucket was made with today's settings takes no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synclr_assets.store.store import Store
from synclr_assets.synthesis.identity import digest_hex

FOLDER = "settings"
UNSEEN = frozenset(
    "batch_size images_per_batch device compile channels_last vae_slicing "
    "base_url api_key_env timeout_seconds max_concurrency max_tries max_backoff_seconds "
    "usd_per_million_prompt_tokens usd_per_million_completion_tokens batch_price_factor "
    "use_batch_api batch_poll_seconds least_requests_per_batch requests_per_batch".split()
)
"""Fields that are in no fingerprint: they change how fast rows are made, where, and for how much."""
SHOWN = 2
Settings = Mapping[str, Any]
"""Sections of a profile as plain data."""


@dataclass(frozen=True)
class _Recorded:
    fingerprint: str
    settings: Settings


def record_settings(store: Store, stage: str, fingerprint: str, settings: Settings) -> None:
    """Keep that rows of the stage have this fingerprint under these settings of a profile."""
    key = f"{FOLDER}/{stage}/{_digest(settings)}.json"
    content = json.dumps({"fingerprint": fingerprint, "settings": settings}, sort_keys=True).encode()
    if not store.blobs.exists(key) or store.blobs.read(key) != content:
        store.blobs.put_bytes(key, content)


class TodaysSettings:
    """Today's settings of the stages, held against those that rows were made with."""

    def __init__(self, store: Store, settings_of: Mapping[str, Settings]) -> None:
        """`settings_of`: stage -> its settings today."""
        self._today = settings_of
        self._recorded: dict[str, dict[str, _Recorded]] = {stage: {} for stage in settings_of}
        for key in store.blobs.keys(FOLDER):
            _, stage, name = key.split("/")
            if stage in self._recorded:
                recorded = _Recorded(**json.loads(store.blobs.read(key)))
                self._recorded[stage][name.removesuffix(".json")] = recorded

    def objections(self, fingerprints: Mapping[str, str]) -> list[str]:
        """What speaks against rows of these fingerprints, by stage."""
        found = [
            self._objection(stage, fingerprints[stage]) for stage in self._today if stage in fingerprints
        ]
        return [objection for objection in found if objection is not None]

    def _objection(self, stage: str, fingerprint: str) -> str | None:
        """How rows of this fingerprint differ from what the stage would make today; None where they do not, or
        where nothing was recorded to tell it by."""
        today, recorded = self._today[stage], self._recorded[stage]
        same = recorded.get(_digest(today))
        if same is not None and same.fingerprint == fingerprint:
            return None
        theirs = [one.settings for one in recorded.values() if one.fingerprint == fingerprint]
        changes = [_changes(settings, today) for settings in theirs]
        if not all(changes) or not (changes or same):
            return None
        listed = min(changes, key=len, default=[])
        shown = ", ".join(listed[:SHOWN]) + (
            f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
        )
        return f"{stage} were made with other settings" + (f": {shown}" if shown else "")


def _changes(before: Settings, today: Settings) -> list[str]:
    """Fields that differ, each with both values."""
    old, new = _flat(before), _flat(today)
    return [
        f"{name} was {old.get(name)}, now {new.get(name)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name.rpartition(".")[2] not in UNSEEN
    ]


def _flat(settings: Settings, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _digest(settings: Settings) -> str:
    return digest_hex("settings", json.dumps(settings, sort_keys=True))
