"""Loading a causal language model and its tokenizer, onto the device and in the precision that the settings name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer

from synclr_assets.synthesis.model_source import ModelError, ModelSource
from synclr_assets.synthesis.transformers_settings import TransformersCaptionerSettings


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model. `context_tokens` bounds prompt and completion together; None where the model has no bound."""

    model: Any
    tokenizer: Any
    is_stop: NDArray[np.bool_]
    """[vocabulary]: the tokens that hold a newline, and those that end a text."""
    context_tokens: int | None


def load_language_model(settings: TransformersCaptionerSettings, source: ModelSource) -> LanguageModel:
    """The model in evaluation mode. Raises ModelError where it cannot be loaded, or cannot be kept in slots."""
    device = device_of(settings)
    where: dict[str, Any] = {"trust_remote_code": settings.trust_remote_code}
    if source.commit is not None:
        where["revision"] = source.commit
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.location, **where)
        model = AutoModelForCausalLM.from_pretrained(
            source.location, dtype=dtype_of(settings, device), use_safetensors=True, **where
        )
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelError(
            f"captioner model {settings.model}: it cannot be loaded ({reason}); name a causal language model in "
            "safetensors that this machine may read."
        ) from error
    if getattr(model, "_is_stateful", False):
        raise ModelError(
            f"captioner model {settings.model}: a {type(model).__name__} keeps more than keys and values between "
            "tokens; name a model with attention only."
        )
    model.to(device)  # type: ignore[arg-type] # typed by a wrapper that hides the argument
    config = model.config.get_text_config()
    return LanguageModel(
        model=model.eval(),
        tokenizer=tokenizer,
        is_stop=stop_tokens(tokenizer, config.vocab_size, model.generation_config.eos_token_id),
        context_tokens=getattr(config, "max_position_embeddings", None),
    )


def device_of(settings: TransformersCaptionerSettings) -> torch.device:
    """The device of the settings; auto: the GPU where there is one. Raises ModelError for a bad name."""
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(settings.device)
    except RuntimeError as error:
        raise ModelError(
            f"captioner device {settings.device!r} is no torch device; use auto, cpu, cuda or cuda:0."
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"captioner device {settings.device!r} is not here: torch sees {torch.cuda.device_count()} GPUs; use "
            "another or auto."
        )
    return device


def dtype_of(settings: TransformersCaptionerSettings, device: torch.device) -> torch.dtype:
    """The precision of the weights; auto: 16 bits on a GPU, bfloat16 where it has it, float32 on a CPU."""
    if settings.dtype != "auto":
        return getattr(torch, settings.dtype)
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def stop_tokens(tokenizer: Any, num_tokens: int, eos_token_ids: int | list[int] | None) -> NDArray[np.bool_]:
    """[num_tokens]: whether a completion ends with the token, because it holds a newline or ends a text."""
    num_named = min(num_tokens, len(tokenizer))
    spoken = tokenizer.batch_decode([[token] for token in range(num_named)], skip_special_tokens=False)
    is_stop = np.zeros(num_tokens, dtype=bool)
    is_stop[:num_named] = ["\n" in text for text in spoken]
    listed = eos_token_ids if isinstance(eos_token_ids, list) else [eos_token_ids]
    for token in (*listed, tokenizer.eos_token_id):
        if token is not None and token < num_tokens:
            is_stop[token] = True
    return is_stop
