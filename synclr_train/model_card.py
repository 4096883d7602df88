"""The README.md of an encoder that is handed on: front matter for a hub, what it is, what it was made from.

Says only what it was told; what is not known is said to be unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

PAPER = "https://arxiv.org/abs/2312.17742"


@dataclass(frozen=True)
class InputData:
    """One bucket generation behind an encoder."""

    bucket: str
    generation: int
    num_captions: int
    captions_read: int
    shard_sha256s: Sequence[str]


@dataclass(frozen=True)
class Generator:
    """A model that made a part of the data, and the licence it came under."""

    stage: str
    model: str
    revision: str
    licence: str
    num_rows: int
    clauses: Sequence[str] = ()
    """What a user of its output must look at."""


@dataclass(frozen=True)
class CardScore:
    """One score, with the protocol that makes it comparable."""

    dataset: str
    split: str
    metric: str
    subject: str
    value: float
    ci_low: float
    ci_high: float
    protocol: str
    protocol_fingerprint: str


@dataclass(frozen=True)
class Provenance:
    """What is known of an encoder beyond its own config.json; everything may be absent."""

    model_id: str | None = None
    slice_name: str | None = None
    recipe_departures: Sequence[Mapping[str, str]] = ()
    """Where the recipe leaves the paper: what, paper, here, why."""
    facts: Sequence[tuple[str, str]] = ()
    """More lines for the table of facts, name and value."""
    inputs: Sequence[InputData] = ()
    generators: Sequence[Generator] = ()
    scores: Sequence[CardScore] = ()


def model_card(
    config: Mapping[str, Any], sha256: str, provenance: Provenance, *, has_transformers: bool
) -> str:
    """The whole README.md; `config` is the exported config.json, `sha256` that of encoder.safetensors."""
    about = config["synclr"]
    title = f"SynCLR encoder {about['recipe']}" if about.get("recipe") else "SynCLR encoder"
    sections = [
        _front_matter(has_transformers),
        f"# {title}",
        f"A vision transformer trained by SynCLR ({PAPER}): images of one caption are each other's positives; "
        "no real image and no human caption is used.",
        "## Use",
        _usage(config, has_transformers),
        "## Facts",
        _table(("fact", "value"), _facts(about, sha256, provenance)),
        "## Data",
        _data(provenance),
        "## Generators and licences",
        _licences(provenance),
        "## Scores",
        _scores(provenance),
    ]
    if provenance.recipe_departures:
        rows = [
            tuple(each[key] for key in ("what", "paper", "here", "why"))
            for each in provenance.recipe_departures
        ]
        sections += ["## Where the recipe leaves the paper", _table(("what", "paper", "here", "why"), rows)]
    return "\n\n".join(sections) + "\n"


def _front_matter(has_transformers: bool) -> str:
    front = {
        "library_name": "timm",
        "pipeline_tag": "image-feature-extraction",
        "license": "other",
        "license_name": "see-generators-and-licences",
        "tags": ["synclr", "synthetic-data", "timm", *(["transformers"] if has_transformers else [])],
    }
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---"


def _usage(config: Mapping[str, Any], has_transformers: bool) -> str:
    about = config["synclr"]
    mean, std = about["mean"], about["std"]
    lines = [
        "```python",
        "import timm",
        "model = timm.create_model('local-dir:THIS_FOLDER', pretrained=True).eval()",
        f"features = model(images)  # (batch, 3, {about['image_size']}, {about['image_size']}), normalised by",
        f"# mean {mean}, std {std}",
        "```",
    ]
    if has_transformers:
        lines += [
            "",
            "```python",
            "from transformers import AutoModel",
            "model = AutoModel.from_pretrained('THIS_FOLDER/transformers').eval()",
            "features = model(images).pooler_output  # the cls token after the last norm",
            "```",
        ]
    return "\n".join(lines)


def _facts(about: Mapping[str, Any], sha256: str, provenance: Provenance) -> list[tuple[str, str]]:
    facts = [
        (
            "architecture",
            f"ViT, {about['depth']} blocks of {about['embed_dim']}, {about['patch_size']} px patches",
        ),
        ("input", f"{about['image_size']} x {about['image_size']} px"),
        ("representation", {"token": "cls token", "avg": "mean of the patch tokens"}[about["pooling"]]),
        ("encoder.safetensors (SHA-256)", sha256),
    ]
    known = ("recipe", "recipe_fingerprint", "network", "imported_from", "imported_sha256")
    facts += [(name.replace("_", " "), str(about[name])) for name in known if about.get(name)]
    if provenance.model_id is not None:
        facts.append(("model id", provenance.model_id))
    if provenance.slice_name is not None:
        facts.append(("slice", provenance.slice_name))
    return facts + list(provenance.facts)


def _data(provenance: Provenance) -> str:
    if not provenance.inputs:
        return "What it was trained on is not recorded in this export."
    rows = [
        (each.bucket, each.generation, each.num_captions, each.captions_read, len(each.shard_sha256s))
        for each in provenance.inputs
    ]
    table = _table(("bucket", "generation", "captions", "captions read in training", "shards"), rows)
    hashes = "\n".join(
        f"{sha256}  {each.bucket} generation {each.generation}"
        for each in provenance.inputs
        for sha256 in each.shard_sha256s
    )
    return f"{table}\n\nSHA-256 of every shard:\n\n```text\n{hashes}\n```"


def _licences(provenance: Provenance) -> str:
    if not provenance.generators:
        return "Which models made the data, and under which licences, is not recorded in this export."
    rows = [
        (each.stage, each.model, each.revision, each.licence, each.num_rows) for each in provenance.generators
    ]
    lines = [_table(("stage", "model", "revision", "licence", "rows"), rows)]
    clauses = {each.licence: each.clauses for each in provenance.generators if each.clauses}
    for licence, asked in clauses.items():
        lines.append(f"{licence}:\n\n" + "\n".join(f"- {clause}" for clause in asked))
    return "\n\n".join([*lines, "A reading aid, not legal advice: the licence's text decides."])


def _scores(provenance: Provenance) -> str:
    if not provenance.scores:
        return "None recorded in this export."
    rows = [
        (
            each.dataset,
            each.split,
            each.metric,
            each.subject,
            f"{100 * each.value:.1f} ({100 * each.ci_low:.1f} to {100 * each.ci_high:.1f})",
            f"{each.protocol} {each.protocol_fingerprint}",
        )
        for each in provenance.scores
    ]
    head = ("data set", "part", "metric", "subject", "per cent (95 % interval)", "protocol")
    return f"{_table(head, rows)}\n\nCompare only scores of one protocol."


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(each) for each in line) + " |" for line in lines)


def _cell(value: object) -> str:
    """Text that cannot leave its cell or become markup."""
    return str(value).replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
