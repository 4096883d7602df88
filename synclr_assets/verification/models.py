"""Models against their files, their inputs, what they read and their scores."""

from __future__ import annotations

from collections.abc import Iterator

from synclr_assets.provenance.models import models
from synclr_assets.store.blobs import sha256_of
from synclr_assets.store.store import Store
from synclr_assets.verification.findings import Finding

ENCODER = "encoder.safetensors"


def model_faults(store: Store) -> Iterator[Finding]:
    """Faults of models, consumption and evals."""
    shards = store.tables.read("shards", columns=["sha256"])
    known_shards = set(shards["sha256"].to_pylist())
    inputs_of: dict[str, set[str]] = {}
    for model in models(store):
        identity = model["model_id"]
        inputs = {digest for entry in model["inputs"] for digest in entry["shard_sha256s"]}
        inputs_of[identity] = inputs
        for digest in sorted(inputs - known_shards):
            where = f"model {identity}"
            yield Finding(
                "model_input_unknown", where, f"{where} was trained on shard {digest}, which no row names."
            )
        yield from _weight_faults(store, identity, f"{model['key']}/{ENCODER}", model["weights_sha256"])
    yield from _dangling(store, inputs_of)


def _weight_faults(store: Store, identity: str, key: str, sha256: str) -> Iterator[Finding]:
    where = f"model {identity}"
    if not store.blobs.exists(key):
        yield Finding("model_weights_missing", where, f"{key} is not there.")
        return
    with store.blobs.scratch() as folder:
        if sha256_of(store.blobs.fetch(key, folder)) != sha256:
            yield Finding("model_weights_damaged", where, f"{key} does not match its checksum.")


def _dangling(store: Store, inputs_of: dict[str, set[str]]) -> Iterator[Finding]:
    read = store.tables.read("consumption", columns=["model_id", "shard_sha256"])
    strange: dict[str, int] = {}
    for row in read.to_pylist():
        if row["shard_sha256"] not in inputs_of.get(row["model_id"], set()):
            strange[row["model_id"]] = strange.get(row["model_id"], 0) + 1
    for identity, count in sorted(strange.items()):
        where = f"consumption of model {identity}"
        yield Finding(
            "consumption_dangling", where, f"{where}: {count} rows name no input of a recorded model."
        )
    scored = store.tables.read("evals", columns=["model_id"])["model_id"].unique().to_pylist()
    for identity in sorted(set(scored) - set(inputs_of)):
        where = f"evals of model {identity}"
        yield Finding("score_dangling", where, f"{where}: no such model is recorded.")
