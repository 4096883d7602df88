"""Captions per second against a plain loop over `generate`: `python -m benchmarks.captions [--size 7b]`.

All methods complete the same prompts with the same weights in one run. `tiny` is trained for seconds and ends its
lines by itself; larger sizes have random weights, and end at a drawn set of tokens about every 20th time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from benchmarks.random_language_model import SIZES, random_llama, train_briefly, train_tokenizer
from synclr_assets.synthesis.decoding.nucleus_sampling import noise_key
from synclr_assets.synthesis.identity import digest_hex
from synclr_assets.synthesis.prompts import PromptSet, load_prompt_set

PLAIN_BATCH = 5
TEMPERATURE, TOP_P, MAX_NEW_TOKENS = 0.8, 0.9, 100
TOKENS_PER_LINE = 20
"""Mean length of a completion where no training taught the model to end its lines."""
TRAINING_STEPS = 400
PEAKED_HEAD = 8.0
"""Factor on random output weights, so that the nucleus is as small as a trained model's."""


@dataclass(frozen=True)
class Measured:
    """One method over one set of prompts."""

    method: str
    num_captions: int
    num_tokens: int
    """Tokens of the captions themselves, with the one that ends each."""
    seconds: float

    @property
    def captions_per_second(self) -> float:
        return self.num_captions / self.seconds


def main_model(size: str, device: str, prompts: PromptSet) -> tuple[Any, Any, np.ndarray]:
    """Model, tokenizer and [vocabulary] stop tokens of a size, 16 bits on a GPU."""
    import torch

    from synclr_assets.synthesis.decoding.loading import stop_tokens

    lines = [line for lines in prompts.examples.values() for line in lines]
    tokenizer = train_tokenizer([line + "\n" for line in lines], min(SIZES[size].vocabulary, 2048))
    on_gpu = device.startswith("cuda")
    with torch.device(device):
        torch.set_default_dtype(torch.bfloat16 if on_gpu else torch.float32)
        try:
            model = random_llama(size)
        finally:
            torch.set_default_dtype(torch.float32)
    if size == "tiny":
        train_briefly(model, tokenizer, lines, TRAINING_STEPS)
        return model.eval(), tokenizer, stop_tokens(tokenizer, model.config.vocab_size, None)
    with torch.no_grad():
        model.lm_head.weight.mul_(PEAKED_HEAD)
    is_stop = np.random.default_rng(0).random(model.config.vocab_size) < 1 / TOKENS_PER_LINE
    return model.eval(), tokenizer, is_stop


def plain_generate(
    model: Any, tokenizer: Any, is_stop: np.ndarray, prompts: Sequence[str], stops: bool
) -> int:
    """A loop over `generate` with batch 5; tokens up to each first stop. `stops`: whether it is told to stop there."""
    import torch

    torch.manual_seed(0)
    tokenizer.padding_side, tokenizer.pad_token = "left", tokenizer.eos_token
    ends = np.flatnonzero(is_stop).tolist()
    num_tokens = 0
    for start in range(0, len(prompts), PLAIN_BATCH):
        encoded = tokenizer(list(prompts[start : start + PLAIN_BATCH]), padding=True, return_tensors="pt")
        encoded = encoded.to(model.device)
        sequences = model.generate(
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
            do_sample=True,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            top_k=0,
            max_new_tokens=MAX_NEW_TOKENS,
            eos_token_id=ends if stops else None,
            pad_token_id=tokenizer.pad_token_id,
        )
        for sequence in sequences[:, encoded["input_ids"].shape[1] :].tolist():
            length = next((n + 1 for n, token in enumerate(sequence) if is_stop[token]), len(sequence))
            tokenizer.decode(sequence[:length], skip_special_tokens=True)
            num_tokens += length
    return num_tokens


def in_slots(model: Any, tokenizer: Any, is_stop: np.ndarray, prompts: Sequence[str], num_slots: int) -> int:
    """What the `transformers` captioner does; tokens drawn."""
    from synclr_assets.synthesis.decoding.decoder import Decoder, Prompt, Sampling

    headers = {prompt.partition("\n")[0] for prompt in prompts}
    num_shared = {header: len(tokenizer(header)["input_ids"]) for header in headers}
    encoded = tokenizer(list(prompts))["input_ids"]
    wanted = [
        Prompt(token_ids, noise_key(digest_hex("bench", n), 0), num_shared[prompt.partition("\n")[0]])
        for n, (token_ids, prompt) in enumerate(zip(encoded, prompts, strict=True))
    ]
    decoder = Decoder(model, Sampling(TEMPERATURE, TOP_P, MAX_NEW_TOKENS, is_stop), num_slots)
    num_tokens = 0
    for _, token_ids in decoder.decode(wanted):
        tokenizer.decode(token_ids, skip_special_tokens=True)
        num_tokens += len(token_ids)
    return num_tokens


def prompts_of(prompts: PromptSet, count: int) -> list[str]:
    """Prompts of the three templates in the paper's proportions, over a few concepts."""
    concepts = ("barn owl", "tuba", "fire engine", "strawberry", "hot air balloon", "espresso machine")
    templates = ["c"] * 9 + ["c_rel"] * 2 + ["c_bg"] * 9
    return [
        prompts.request(
            caption_id=digest_hex("bench", n),
            concept=concepts[n % len(concepts)],
            template=templates[n % len(templates)],
            relation="beside",
            background="a quiet village square",
            attempt=0,
        ).prompt
        for n in range(count)
    ]


def measure(
    size: str, device: str, num_captions: int, num_plain: int, num_slots: int, num_rounds: int
) -> list[Measured]:
    """Each method's fastest round, after one that warms up; the plain loop, the one to compare with, comes first.

    Methods take turns, so that what else the machine does meets all of them.
    """
    prompt_set = load_prompt_set()
    model, tokenizer, is_stop = main_model(size, device, prompt_set)
    methods: list[tuple[str, int, Callable[[Sequence[str]], int]]] = [
        (
            f"generate, batch {PLAIN_BATCH}",
            num_plain,
            lambda p: plain_generate(model, tokenizer, is_stop, p, False),
        ),
        (
            f"generate, batch {PLAIN_BATCH}, told where to stop",
            num_plain,
            lambda p: plain_generate(model, tokenizer, is_stop, p, True),
        ),
        ("in slots, batch 5", num_captions, lambda p: in_slots(model, tokenizer, is_stop, p, PLAIN_BATCH)),
        (
            f"in slots, batch {num_slots}",
            num_captions,
            lambda p: in_slots(model, tokenizer, is_stop, p, num_slots),
        ),
    ]
    best: dict[str, Measured] = {}
    for round_number in range(num_rounds + 1):
        for name, count, method in methods:
            prompts = prompts_of(prompt_set, count if round_number else PLAIN_BATCH)
            started = time.perf_counter()
            one = Measured(name, len(prompts), method(prompts), time.perf_counter() - started)
            if round_number and (name not in best or one.seconds < best[name].seconds):
                best[name] = one
    return list(best.values())


@click.command()
@click.option(
    "--size", type=click.Choice(list(SIZES)), default="tiny", help="Size of the Llama architecture."
)
@click.option("--device", default=None, help="Torch device; left out, the GPU where there is one.")
@click.option("--captions", "num_captions", default=256, help="Captions of the methods that use slots.")
@click.option("--plain-captions", "num_plain", default=50, help="Captions of the plain loops.")
@click.option("--slots", "num_slots", default=64, help="Sequences decoded at once.")
@click.option("--rounds", "num_rounds", default=3, help="Turns of every method; the fastest counts.")
def main(
    size: str, device: str | None, num_captions: int, num_plain: int, num_slots: int, num_rounds: int
) -> None:
    """Print the table of captions per second."""
    print_table(size, device, num_captions, num_plain, num_slots, num_rounds)


def print_table(
    size: str, device: str | None, num_captions: int, num_plain: int, num_slots: int, num_rounds: int
) -> None:
    """Measure and print. Raises ClickException where a size that needs a GPU meets none."""
    import torch

    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if size == "7b" and not chosen.startswith("cuda"):
        raise click.ClickException("--size 7b needs a GPU that torch sees; take tiny or small on a CPU.")
    click.echo(f"Llama {size}, {chosen}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    click.echo(f"{'method':44}{'captions/s':>12}{'tokens/s':>12}{'ratio':>8}")
    measured = measure(size, chosen, num_captions, num_plain, num_slots, num_rounds)
    plain = measured[0]
    for one in measured:
        ratio = one.captions_per_second / plain.captions_per_second
        rate = one.num_tokens / one.seconds
        click.echo(f"{one.method:44}{one.captions_per_second:12.1f}{rate:12.0f}{ratio:7.1f}x")


if __name__ == "__main__":
    main()
