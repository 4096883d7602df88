"""Settings of the `transformers` captioner, the licences of models it knows, and naming a model for good.

Imports nothing heavy and loads no weights; `transformers_captions` does.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from synclr_assets.synthesis.identity import digest_hex

DEFAULT_MODEL = "meta-llama/Llama-2-7b-hf"
"""The language model of SynCLR 3.1: the base model, which completes text, not the chat one."""
DEFAULT_REVISION = "01c7f73d771dfac7d292323805ebc428287df4f9"

KNOWN_LICENCES: Mapping[str, str] = {
    "meta-llama/Llama-2-7b-hf": "Llama 2 Community License",
    "meta-llama/Llama-2-13b-hf": "Llama 2 Community License",
    "meta-llama/Llama-2-70b-hf": "Llama 2 Community License",
    "meta-llama/Llama-3.1-8B": "Llama 3.1 Community License",
    "mistralai/Mistral-7B-v0.1": "Apache-2.0",
    "mistralai/Mistral-7B-v0.3": "Apache-2.0",
    "Qwen/Qwen2.5-7B": "Apache-2.0",
    "allenai/OLMo-2-1124-7B": "Apache-2.0",
    "EleutherAI/pythia-6.9b": "Apache-2.0",
    "openai-community/gpt2": "MIT",
}
"""Hub id -> licence its publisher names. Any other model needs the licence from the user: a corpus inherits it."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILES_THAT_COUNT = {".json", ".safetensors", ".bin", ".model", ".txt", ".jinja", ".py"}


class CaptionModelError(ValueError):
    """A language model that cannot be named, loaded or run; one sentence."""


class TransformersCaptionerSettings(BaseModel):
    """Which causal language model completes the prompts, and how (SynCLR 3.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = DEFAULT_MODEL
    """Hub id or folder of a causal language model. Base models suit: the prompt is text to be continued."""
    revision: str | None = None
    """Commit of the hub model, 40 hex characters; may be left out for the default model and for a folder."""
    licence: str | None = None
    """Licence of the model; may be left out for a hub id of `KNOWN_LICENCES`."""
    temperature: float = Field(default=0.8, gt=0.0)
    """Divides the logits."""
    top_p: float = Field(default=0.9, gt=0.0, le=1.0)
    """Probability mass that tokens are drawn from."""
    max_new_tokens: int = Field(default=100, gt=0)
    """Tokens after which a completion without a newline is cut."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the weights; auto: 16 bits on a GPU (bfloat16 where it has it), float32 on a CPU."""
    device: str = "auto"
    """Torch device; auto: the GPU where there is one. Changes no setting, only rounding."""
    batch_size: int = Field(default=64, gt=0)
    """Sequences decoded at once; halved where memory ends. Changes no caption beyond rounding."""
    trust_remote_code: bool = False
    """Whether Python code that comes with the model may run."""
    allow_pickled_weights: bool = False
    """Whether weights that are not safetensors may be read; a pickle can run code."""


class ModelIdentity(BaseModel):
    """What goes on the rows a model makes."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Hub id, or `folder:` and the folder's name."""
    revision: str
    """Commit of a hub model, or 32 hex characters over every byte of a folder that loading reads."""
    licence: str
    """Name of the licence."""
    fingerprint_name: str
    """The hub id; the same word for all folders, so that a moved or renamed folder stays the same model."""


def identify_model(settings: TransformersCaptionerSettings) -> ModelIdentity:
    """The model's name, revision and licence. Reads every byte of a folder. Raises CaptionModelError."""
    folder = model_folder(settings.model)
    licence = settings.licence or KNOWN_LICENCES.get(settings.model)
    if licence is None:
        raise CaptionModelError(
            f"captioner model {settings.model}: its licence is not known here; name it in the setting `licence`, "
            "for every caption and image made from it carries it."
        )
    if folder is not None:
        revision = hash_of_folder(folder)
        return ModelIdentity(
            name=f"folder:{folder.name}", revision=revision, licence=licence, fingerprint_name="folder"
        )
    pinned = settings.revision or (DEFAULT_REVISION if settings.model == DEFAULT_MODEL else None)
    if pinned is None or not _COMMIT.fullmatch(pinned):
        raise CaptionModelError(
            f"captioner model {settings.model}: revision {pinned!r} is not a commit; name the 40 hex characters of "
            "one in the setting `revision`, for a branch moves."
        )
    return ModelIdentity(
        name=settings.model, revision=pinned, licence=licence, fingerprint_name=settings.model
    )


def model_folder(model: str) -> Path | None:
    """The folder that a model setting names, None for a hub id. Raises CaptionModelError for neither."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists() or not _HUB_ID.fullmatch(model):
        raise CaptionModelError(
            f"captioner model {model}: this is neither a folder nor a hub id; name a folder with config.json, "
            f"or an id such as {DEFAULT_MODEL}."
        )
    return None


def hash_of_folder(folder: Path) -> str:
    """32 hex characters over the names and bytes of the configuration, tokenizer and weight files of a folder."""
    parts: list[str | int] = ["model-folder"]
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _FILES_THAT_COUNT and not path.name.startswith("."):
            with path.open("rb") as file:
                parts += [path.name, hashlib.file_digest(file, "blake2b").hexdigest()]
    return digest_hex(*parts)
