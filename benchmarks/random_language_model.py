"""Llama models with random or briefly trained weights, at a named size, with a tokenizer trained on the spot.

The architecture is the real one, saved as an ordinary folder; only sizes, weights and vocabulary are made here.
Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LlamaSize:
    """Sizes of a LlamaForCausalLM."""

    width: int
    mlp_width: int
    layers: int
    heads: int
    vocabulary: int
    """Rows of the embedding; the trained tokenizer may know fewer tokens."""


SIZES = {
    "tiny": LlamaSize(64, 160, 2, 4, 2048),
    "small": LlamaSize(256, 688, 4, 8, 2048),
    "7b": LlamaSize(4096, 11008, 32, 32, 32000),
}
"""7b: Llama 2 7B (Touvron et al. 2023); the others are for tests and for benchmarks on a CPU."""


def train_tokenizer(lines: Sequence[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer that begins every text with <s>, as Llama's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def random_llama(size: str, seed: int = 0) -> Any:
    """A LlamaForCausalLM of a named size, see `llama_of`."""
    return llama_of(SIZES[size], seed)


def llama_of(sizes: LlamaSize, seed: int = 0) -> Any:
    """A LlamaForCausalLM with the weights its configuration initialises, in torch's default precision and place."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=sizes.vocabulary,
            hidden_size=sizes.width,
            intermediate_size=sizes.mlp_width,
            num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.heads,
            max_position_embeddings=4096,
            bos_token_id=0,
            eos_token_id=1,
        )
    )


def train_briefly(model: Any, tokenizer: Any, lines: Sequence[str], num_steps: int, seed: int = 0) -> float:
    """Fit the model to lines in random order, each ending in a newline; the mean loss of the last ten steps, nats."""
    import torch

    torch.manual_seed(seed)
    encoded = [tokenizer(line + "\n", add_special_tokens=False)["input_ids"] for line in lines]
    window, batch = 64, 12
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=num_steps)
    losses = []
    model.train()
    for _ in range(num_steps):
        rows = []
        for _ in range(batch):
            row = [tokenizer.bos_token_id]
            while len(row) < window:
                row += encoded[int(torch.randint(len(encoded), ()))]
            rows.append(row[:window])
        tokens = torch.tensor(rows)
        loss = model(input_ids=tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    model.eval()
    return sum(losses[-10:]) / len(losses[-10:])


def save_language_model(folder: Path, size: str, lines: Sequence[str], num_steps: int, seed: int = 0) -> Path:
    """Save a model folder that writes lines like the given ones after `num_steps` of training; the folder."""
    tokenizer = train_tokenizer([line + "\n" for line in lines], SIZES[size].vocabulary)
    model = random_llama(size, seed)
    if num_steps:
        train_briefly(model, tokenizer, lines, num_steps, seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
