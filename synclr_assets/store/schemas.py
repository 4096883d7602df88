"""Every table of the store: columns, what each means, partition columns, schema version. Holds no I/O.

Rows carry no wall-clock time except `created_at` (models), `evaluated_at` (evals) and `at` (ledger), so that the
same inputs give the same rows. When a row was committed, and by which run, stands in the Delta log.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

STRING, INT, LONG, REAL, FLAG = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class TableSpec:
    """One Delta table. `key` names the columns that identify a row; `cursor` the column that a stage counts in."""

    name: str
    description: str
    columns: tuple[tuple[str, pa.DataType, str], ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ("bucket", "generation")
    cursor: str | None = None
    schema_version: int = 1
    large_binary_column: str | None = None
    rows_per_group: int | None = None
    """Rows that a reader must decode to find one; None for the writer's default."""

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(n, t, metadata={"comment": about}) for n, t, about in self.columns])


_PARTITION = (
    ("bucket", STRING, "Concept bucket: the partition key"),
    ("generation", INT, "Generation of the bucket, from 0; earlier ones stay as they are"),
)
_POSITION = ("position", LONG, "Place in the bucket's shuffled plan, from 0; gaps are quarantined captions")
_CAPTION_ID = (
    "caption_id",
    STRING,
    "128-bit hash of (bucket, generation, concept, template, ordinal), 32 hex",
)
_PROVENANCE = (
    ("model", STRING, "Generator model id"),
    ("revision", STRING, "Pinned revision of the model"),
    ("licence", STRING, "Licence of the model, which the data inherits obligations from"),
    ("fingerprint", STRING, "Settings fingerprint: model, revision, prompt set and sampling settings"),
)
_TEXT = (
    ("template", STRING, "c, c_rel or c_bg (SynCLR 3.1)"),
    ("ordinal", LONG, "Number of the caption within its concept, from 0"),
    ("relation", STRING, "Positional relation of a c_rel caption"),
)
_WORK = (
    ("prompt_tokens", LONG, "Tokens read by the model, all attempts"),
    ("completion_tokens", LONG, "Tokens written by the model, all attempts"),
    ("attempts", INT, "Draws it took; 0 for a plan that is completed later"),
)

_SPECS = (
    TableSpec(
        "concepts",
        "A concept of a bucket, with its share of the caption budget",
        (
            *_PARTITION,
            ("concept", STRING, "Name of the concept, unique in its bucket"),
            ("concept_index", INT, "Order in the bucket file"),
            ("display_text", STRING, "What captions call it"),
            ("source", STRING, "Where the concept comes from (SynCLR App. A)"),
            ("weight", REAL, "Sampling weight within the bucket"),
            ("templates", pa.list_(STRING), "Templates allowed"),
            ("template_shares", pa.list_(REAL), "Probability of each allowed template, same order"),
            ("num_captions", LONG, "Captions allocated to it in this generation (largest remainder)"),
            ("bucket_fingerprint", STRING, "Hash of the bucket file's meaning"),
        ),
        key=("bucket", "generation", "concept"),
    ),
    TableSpec(
        "captions",
        "A caption of the c and c_rel templates, or the plan of a c_bg caption (text is null)",
        (
            *_PARTITION,
            _POSITION,
            _CAPTION_ID,
            ("concept", STRING, "Concept it is about"),
            *_TEXT,
            ("text", STRING, "The caption; null where a background is still to be drawn"),
            ("text_hash", LONG, "64-bit hash of the normalised text, for duplicates"),
            *_WORK,
            *_PROVENANCE,
        ),
        key=("caption_id",),
        cursor="position",
    ),
    TableSpec(
        "backgrounds",
        "A plausible background of a concept (SynCLR 3.1)",
        (
            *_PARTITION,
            ("position", LONG, "Index of the concept among those of the generation that need backgrounds"),
            ("concept", STRING, "Concept it suits"),
            ("ordinal", INT, "Order within the concept's list"),
            ("background", STRING, "The place or setting; null for a concept a model was asked for in vain"),
            ("origin", STRING, "frozen (a dictionary) or generated (asked of a model)"),
            *_PROVENANCE,
        ),
        key=("bucket", "generation", "concept", "ordinal"),
        cursor="position",
    ),
    TableSpec(
        "enriched_captions",
        "A final caption: what image generation reads",
        (
            *_PARTITION,
            _POSITION,
            _CAPTION_ID,
            ("concept", STRING, "Concept it is about"),
            *_TEXT,
            ("background", STRING, "Background of a c_bg caption"),
            ("parent_caption_id", STRING, "Row of captions it came from"),
            ("text", STRING, "The caption"),
            ("text_hash", LONG, "64-bit hash of the normalised text"),
            *_WORK,
            *_PROVENANCE,
            ("settings", STRING, "Settings fingerprint of the whole stage, backgrounds included"),
        ),
        key=("caption_id",),
        cursor="position",
    ),
    TableSpec(
        "plain_captions",
        "The caption of template c that a c_bg caption was rewritten from, where a model rewrites (SynCLR 3.1)",
        (
            *_PARTITION,
            _POSITION,
            _CAPTION_ID,
            ("text", STRING, "The caption before its background was added"),
            *_WORK,
            *_PROVENANCE,
        ),
        key=("caption_id",),
        cursor="position",
    ),
    TableSpec(
        "images",
        "One view of one caption; the encoded bytes are in image_bytes",
        (
            *_PARTITION,
            _POSITION,
            _CAPTION_ID,
            ("view", INT, "0 to 3"),
            ("seed", LONG, "hash(caption_id, view, reseeds): draws the noise"),
            ("reseeds", INT, "How many earlier seeds failed a check"),
            ("sha256", STRING, "Of the encoded bytes"),
            ("size_bytes", LONG, "Of the encoded bytes"),
            ("width", INT, "Pixels"),
            ("height", INT, "Pixels"),
            ("perceptual_hash", STRING, "64-bit perceptual hash, 16 hex"),
            ("checks_passed", pa.list_(STRING), "Names of the checks it passed"),
            *_PROVENANCE,
        ),
        key=("caption_id", "view"),
        cursor="position",
    ),
    TableSpec(
        "image_bytes",
        "The encoded images; may be dropped once packed into shards",
        (
            *_PARTITION,
            _POSITION,
            _CAPTION_ID,
            ("view", INT, "0 to 3"),
            ("encoded", pa.binary(), "JPEG or WebP bytes"),
        ),
        key=("caption_id", "view"),
        cursor="position",
        large_binary_column="encoded",
    ),
    TableSpec(
        "shards",
        "One tar file of whole positive groups (WebDataset)",
        (
            *_PARTITION,
            ("shard_index", LONG, "Number within the bucket generation, from 0"),
            ("key", STRING, "Path below the store's root"),
            ("sha256", STRING, "Of the tar file"),
            ("size_bytes", LONG, "Of the tar file"),
            ("num_captions", INT, "Positive groups in it"),
            ("num_images", INT, "Images in it"),
            ("first_caption_id", STRING, "First sample"),
            ("last_caption_id", STRING, "Last sample"),
            ("fingerprint", STRING, "Packing settings"),
        ),
        key=("bucket", "generation", "shard_index"),
        cursor="shard_index",
    ),
    TableSpec(
        "shard_members",
        "Which shard holds a caption, and where",
        (
            *_PARTITION,
            ("shard_index", LONG, "Shard within the bucket generation"),
            _CAPTION_ID,
            ("offset_bytes", LONG, "Offset of the sample's first tar header"),
            ("size_bytes", LONG, "Bytes of the whole sample, headers and padding included"),
        ),
        key=("caption_id",),
        cursor="shard_index",
    ),
    TableSpec(
        "quarantine",
        "A caption that was given up at a stage, and why",
        (
            *_PARTITION,
            ("stage", STRING, "captions, enriched_captions or images"),
            _POSITION,
            _CAPTION_ID,
            ("reason", STRING, "Name of the check it failed"),
            ("detail", STRING, "What was seen"),
            ("attempts", INT, "Draws or reseeds spent"),
        ),
        key=("stage", "caption_id"),
        cursor="position",
    ),
    TableSpec(
        "caption_index",
        "The bucket generation of a caption, in order of caption_id; derived from captions, may be dropped",
        (
            _CAPTION_ID,
            ("bucket", STRING, "Bucket of the caption"),
            ("generation", INT, "Generation of the bucket"),
        ),
        key=("caption_id",),
        partition_by=(),
        rows_per_group=32_768,
    ),
    TableSpec(
        "recalls",
        "What a recall found affected: training leaves these captions out from then on, nothing is deleted",
        (
            *_PARTITION,
            ("recall_id", STRING, "Recall that found it: hash of what was recalled and of all it found"),
            ("kind", STRING, "What was recalled: caption, concept or generator"),
            ("subject", STRING, "Id of the caption, name of the concept, or MODEL or MODEL@REVISION"),
            (
                "object",
                STRING,
                "caption (stands for its images), shard, model or score; the last two have no bucket",
            ),
            ("object_id", STRING, "caption_id, SHA-256 of the shard, model_id, or MODEL/DATASET/METRIC"),
            ("reason", STRING, "Why, in the words of who recalled it"),
            ("at", TIME, "When it was recorded"),
        ),
        key=("recall_id", "object", "object_id"),
    ),
    TableSpec(
        "models",
        "One trained checkpoint",
        (
            ("slice", STRING, "Slice of buckets it was trained on"),
            ("model_id", STRING, "128-bit hash of slice, recipe, seed and exact inputs, 32 hex"),
            ("recipe", STRING, "Recipe name"),
            ("recipe_json", STRING, "The complete recipe"),
            ("recipe_fingerprint", STRING, "Hash of the recipe"),
            ("seed", LONG, "Seed of the training run"),
            (
                "inputs",
                pa.list_(
                    pa.struct(
                        [
                            ("bucket", STRING),
                            ("generation", INT),
                            ("num_captions", LONG),
                            ("shard_sha256s", pa.list_(STRING)),
                        ]
                    )
                ),
                "Every bucket generation and shard it could read",
            ),
            (
                "table_versions",
                pa.list_(pa.struct([("table", STRING), ("version", LONG)])),
                "Delta versions that were current when training began",
            ),
            (
                "num_excluded",
                LONG,
                "Recalled captions of its shards that training was kept from; null in old rows",
            ),
            ("excluded_digest", STRING, "Hash of their sorted ids, which excluded.txt in the folder lists"),
            ("steps", LONG, "Optimiser steps done"),
            ("final_loss", REAL, "Mean total loss of the last steps"),
            ("effective_rank", REAL, "Effective rank of the features at the end"),
            ("code_version", STRING, "Version of the trainer"),
            ("weights_sha256", STRING, "Of the exported encoder"),
            ("key", STRING, "Folder below the store's root"),
            ("seconds", REAL, "Wall time of training"),
            ("device", STRING, "What it was trained on"),
            ("created_at", TIME, "When it was recorded"),
        ),
        key=("model_id",),
        partition_by=("slice",),
    ),
    TableSpec(
        "consumption",
        "What a model really read of a shard",
        (
            ("model_id", STRING, "Model"),
            ("bucket", STRING, "Bucket of the shard"),
            ("generation", INT, "Generation of the shard"),
            ("shard_index", LONG, "Shard within the bucket generation"),
            ("shard_sha256", STRING, "Of the tar file that was read"),
            ("captions_read", LONG, "Positive groups read, repeats counted"),
            ("images_read", LONG, "Images read, repeats counted"),
            ("epochs", REAL, "captions_read over the captions in the shard"),
        ),
        key=("model_id", "bucket", "generation", "shard_index"),
        partition_by=("model_id",),
    ),
    TableSpec(
        "evals",
        "One score of a model, or of a baseline measured in the same run",
        (
            ("model_id", STRING, "Model the evaluation ran for"),
            ("asset", STRING, "linear_probe or segmentation"),
            ("subject", STRING, "model, or the name of a baseline"),
            ("is_baseline", FLAG, "Whether the score is a baseline's"),
            ("dataset", STRING, "Evaluation data"),
            ("split", STRING, "test or validation"),
            ("metric", STRING, "What was measured"),
            ("value", REAL, "0 to 1"),
            ("ci_low", REAL, "95 % interval"),
            ("ci_high", REAL, "95 % interval"),
            ("num_test", LONG, "Images scored"),
            ("protocol", STRING, "Name of the protocol"),
            ("protocol_fingerprint", STRING, "Hash of the protocol: compare only equal ones"),
            ("per_class", pa.list_(pa.struct([("name", STRING), ("value", REAL)])), "Score per class"),
            ("evaluated_at", TIME, "When it was recorded"),
        ),
        key=("model_id", "asset", "subject", "dataset", "split", "metric", "protocol_fingerprint"),
        partition_by=("model_id",),
    ),
    TableSpec(
        "ledger",
        "One unit of paid work",
        (
            *_PARTITION,
            ("stage", STRING, "Asset that did it"),
            ("position", LONG, "First position of the committed batch"),
            ("units", LONG, "Captions, images or shards made"),
            ("model_id", STRING, "Model it was spent on, for training and evaluation"),
            ("generator", STRING, "Generator model id"),
            ("requests", LONG, "Calls"),
            ("prompt_tokens", LONG, "Tokens read"),
            ("completion_tokens", LONG, "Tokens written"),
            ("wall_seconds", REAL, "Seconds of work"),
            ("gpu_seconds", REAL, "GPU seconds held"),
            ("size_bytes", LONG, "Bytes written"),
            ("usd", REAL, "Money, where a price is known"),
            ("run_id", STRING, "Run that did it; null in rows older than this column"),
            ("at", TIME, "When it was recorded"),
            (
                "requests_in_doubt",
                LONG,
                "Tries without a whole answer, which may have been charged beyond usd",
            ),
        ),
        key=("stage", "bucket", "generation", "position", "generator", "model_id"),
        cursor="position",
    ),
)

TABLES: dict[str, TableSpec] = {spec.name: spec for spec in _SPECS}
WALL_CLOCK_COLUMNS = frozenset({"created_at", "evaluated_at", "at", "seconds", "wall_seconds"})
