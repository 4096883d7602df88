"""Settings of the `transformers` captioner, and the licences of models it knows. Loads no weights."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from synclr_assets.synthesis.model_source import ModelSource, resolve_model

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


class TransformersCaptionerSettings(BaseModel):
    """Which causal language model completes the prompts, and how (SynCLR 3.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = DEFAULT_MODEL
    """Hub id or folder of a causal language model in safetensors. Base models suit: they continue the prompt."""
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


def caption_model_source(settings: TransformersCaptionerSettings) -> ModelSource:
    """The pinned model of the settings, with its licence. Raises ModelError."""
    revision = settings.revision or (DEFAULT_REVISION if settings.model == DEFAULT_MODEL else None)
    licence = settings.licence or KNOWN_LICENCES.get(settings.model)
    return resolve_model("captioner model", settings.model, revision, licence)
