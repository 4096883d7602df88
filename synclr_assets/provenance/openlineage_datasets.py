"""Rows of a store as OpenLineage datasets: a table's part for one bucket or model, its version the exact generation.

Loads `openlineage`, so only what sends or writes events imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.compute as pc
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    dataset_type_dataset,
    dataset_version_dataset,
    datasource_dataset,
    documentation_dataset,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
    ownership_dataset,
    schema_dataset,
    storage_dataset,
    symlinks_dataset,
)

from synclr_assets.store.location import Location
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit

MODEL_TABLE = "models"
BUCKET_READS = {
    "concepts": (),
    "captions": ("concepts",),
    "enriched_captions": ("concepts", "captions"),
    "images": ("enriched_captions",),
    "syncaps_shards": ("enriched_captions", "images", "image_bytes"),
}
"""Stage -> tables whose rows of the bucket generation it reads."""
BUCKET_WRITES = {
    "concepts": ("concepts",),
    "captions": ("captions",),
    "enriched_captions": ("enriched_captions", "backgrounds", "plain_captions"),
    "images": ("images", "image_bytes"),
    "syncaps_shards": ("shards", "shard_members"),
}
"""Stage -> tables it writes, its own first; of the others only those that got rows."""
_TYPES: tuple[tuple[Any, str], ...] = (
    (pa.types.is_string, "string"),
    (pa.types.is_int32, "int"),
    (pa.types.is_int64, "long"),
    (pa.types.is_float64, "double"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_binary, "binary"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_list, "array"),
)

Datasets = tuple[list[InputDataset], list[OutputDataset]]
"""What a run read and what it wrote."""


@dataclass(frozen=True)
class Part:
    """What one run reads or writes of a table. `folder` is below the store's root."""

    table: str
    folder: str
    version: str
    rows: int | None = None
    size_bytes: int | None = None
    files: int | None = None
    written_ms: int = 0
    """When its newest file was written, in milliseconds since 1970."""


class LoggedFiles:
    """What the tables' logs say of each bucket generation; every log is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._of_table: dict[str, dict[Unit, Part]] = {}

    def part(self, table: str, unit: Unit) -> Part:
        """The unit's part of the table; of no rows where there are none."""
        if table not in self._of_table:
            self._of_table[table] = self._read(table)
        return self._of_table[table].get(unit) or _unit_part(table, unit)

    def units(self, table: str) -> list[Unit]:
        """Bucket generations that have rows in the table, in order."""
        if table not in self._of_table:
            self._of_table[table] = self._read(table)
        return sorted(self._of_table[table], key=lambda unit: (unit.bucket, unit.generation))

    def _read(self, table: str) -> dict[Unit, Part]:
        parts: dict[Unit, Part] = {}
        for file in self._store.tables.files(table).to_pylist():
            if file["num_records"]:
                unit = Unit(file["partition.bucket"], int(file["partition.generation"]))
                known = parts.get(unit) or _unit_part(table, unit)
                parts[unit] = replace(
                    known,
                    rows=(known.rows or 0) + file["num_records"],
                    size_bytes=(known.size_bytes or 0) + file["size_bytes"],
                    files=(known.files or 0) + 1,
                    written_ms=max(known.written_ms, file["modification_time"]),
                )
        return parts


def of_bucket(
    store: Store,
    stage: str,
    unit: Unit,
    owners: Sequence[str] = (),
    source: str = "",
    logged: LoggedFiles | None = None,
) -> Datasets:
    """What a stage reads and wrote of a bucket generation. `source` is the bucket's file, where it is known."""
    logged = logged or LoggedFiles(store)
    read = [logged.part(table, unit) for table in BUCKET_READS[stage]]
    written = [logged.part(table, unit) for table in BUCKET_WRITES[stage]]
    inputs = [_input(store, part) for part in read]
    if stage == "concepts" and source:
        inputs.append(_concept_file(store, source, unit))
    outputs = [_output(store, part, owners) for part in (written[0], *(p for p in written[1:] if p.rows))]
    return inputs, outputs


def of_training(store: Store, model: dict[str, Any], owners: Sequence[str] = ()) -> Datasets:
    """The shards of every bucket generation that the model was given, and the model."""
    read = [
        Part(
            "shards",
            f"tables/shards/bucket={entry['bucket']}",
            str(entry["generation"]),
            rows=len(entry["shard_sha256s"]),
            files=len(entry["shard_sha256s"]),
        )
        for entry in model["inputs"]
    ]
    consumed = _part_of_model(store, "consumption", model, model["weights_sha256"])
    inputs = [_input(store, part) for part in read]
    return inputs, [_output(store, part, owners) for part in (_model(model), consumed)]


def of_evaluation(
    store: Store, model: dict[str, Any], asset: str, protocol: str, owners: Sequence[str] = ()
) -> Datasets:
    """The model, and its scores of one evaluation: their version is the protocol's fingerprint."""
    scores = _part_of_model(store, "evals", model, protocol, asset)
    return [_input(store, _model(model))], [_output(store, scores, owners)]


def _unit_part(table: str, unit: Unit) -> Part:
    return Part(table, f"tables/{table}/bucket={unit.bucket}", str(unit.generation), 0, 0, 0)


def _part_of_model(
    store: Store, table: str, model: dict[str, Any], version: str, asset: str | None = None
) -> Part:
    own = {"model_id": model["model_id"]}
    where = None if asset is None else pc.field("asset") == asset
    rows = store.tables.count(table, partitions=own, where=where)
    folder = f"tables/{table}/model_id={model['model_id']}"
    return Part(table, folder if asset is None else f"{folder}/{asset}", version, rows)


def _model(model: dict[str, Any]) -> Part:
    return Part(MODEL_TABLE, model["key"], model["weights_sha256"], rows=1)


def _input(store: Store, part: Part) -> InputDataset:
    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=part.rows, size=part.size_bytes, fileCount=part.files
    )
    namespace, name = _named(store.location, part.folder)
    facets = _facets(store, part, ())
    return InputDataset(namespace, name, facets=facets, inputFacets={"inputStatistics": statistics})


def _output(store: Store, part: Part, owners: Sequence[str]) -> OutputDataset:
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=part.rows, size=part.size_bytes, fileCount=part.files
    )
    namespace, name = _named(store.location, part.folder)
    facets = _facets(store, part, owners)
    return OutputDataset(namespace, name, facets=facets, outputFacets={"outputStatistics": statistics})


def _facets(store: Store, part: Part, owners: Sequence[str]) -> dict[str, Any]:
    spec = store.tables.spec(part.table)
    table = symlinks_dataset.Identifier(*_named(store.location, f"tables/{part.table}"), type="TABLE")
    is_model = part.table == MODEL_TABLE
    fields = [
        schema_dataset.SchemaDatasetFacetFields(
            name, _type_name(kind), about, ordinal_position=number, fields=None
        )
        for number, (name, kind, about) in enumerate(spec.columns, 1)
    ]
    facets: dict[str, Any] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(part.version),
        "schema": schema_dataset.SchemaDatasetFacet(fields),
        "documentation": documentation_dataset.DocumentationDatasetFacet(spec.description),
        "dataSource": _data_source(store.location),
        "symlinks": symlinks_dataset.SymlinksDatasetFacet([table]),
        "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet("MODEL" if is_model else "TABLE"),
    }
    if not is_model:
        facets["storage"] = storage_dataset.StorageDatasetFacet(storageLayer="delta", fileFormat="parquet")
    if owners:
        named = [ownership_dataset.Owner(name=owner, type="MAINTAINER") for owner in owners]
        facets["ownership"] = ownership_dataset.OwnershipDatasetFacet(named)
    return facets


def _concept_file(store: Store, source: str, unit: Unit) -> InputDataset:
    """The bucket's file; its version is the hash of its meaning that its rows carry."""
    rows = store.tables.read("concepts", partitions=unit.partitions, columns=["bucket_fingerprint"])
    facets = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(rows["bucket_fingerprint"][0].as_py()),
        "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet("FILE"),
        "documentation": documentation_dataset.DocumentationDatasetFacet(
            f"Concept bucket {unit.bucket}, as a person wrote it"
        ),
    }
    return InputDataset("file", Path(source).absolute().as_posix(), facets=facets)


def _named(location: Location, folder: str) -> tuple[str, str]:
    """Namespace and name as OpenLineage's naming rules have them for a local file system and for S3."""
    if location.is_local:
        return "file", (location.folder / folder).as_posix()
    root = urlparse(location.uri)
    return f"s3://{root.netloc.rpartition('@')[2]}", f"{root.path}/{folder}".strip("/")


def _data_source(location: Location) -> Any:
    namespace, name = _named(location, "tables")
    uri = location.table_uri("").rstrip("/") if location.is_local else f"{namespace}/{name}"
    return datasource_dataset.DatasourceDatasetFacet(name=namespace, uri=uri)


def _type_name(kind: pa.DataType) -> str:
    return next(name for is_it, name in _TYPES if is_it(kind))
