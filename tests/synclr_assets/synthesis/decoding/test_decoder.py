"""Decoding in refilled slots gives what decoding each prompt alone, without any cache, gives."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from synclr_assets.synthesis.decoding import decoder as decoder_module
from synclr_assets.synthesis.decoding.decoder import Decoder, Prompt, Sampling
from synclr_assets.synthesis.decoding.nucleus_sampling import draw_tokens, noise_key

VOCABULARY = 400
SAMPLING = Sampling(0.8, 0.9, 12, np.arange(VOCABULARY) < 30)
SHARED = [5, 300, 17, 44]


def model_of(architecture: str) -> Any:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_attention_heads": 4}
    if architecture == "gpt2":
        config = transformers.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4)
        return transformers.GPT2LMHeadModel(config).eval()
    if architecture == "bloom":
        return transformers.BloomForCausalLM(transformers.BloomConfig(**sizes, n_layer=2)).eval()
    sizes |= {
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "initializer_range": 0.2,
    }
    if architecture == "mistral":
        config = transformers.MistralConfig(**sizes, sliding_window=64)
        return transformers.MistralForCausalLM(config).eval()
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).eval()


def prompts_of(count: int) -> list[Prompt]:
    generator = np.random.default_rng(1)
    prompts = []
    for number in range(count):
        own = generator.integers(30, VOCABULARY, size=int(generator.integers(1, 14))).tolist()
        shared = SHARED if number % 3 else []
        prompts.append(Prompt([*shared, *own], noise_key(f"{number:032x}", 0), len(shared)))
    return prompts


@torch.inference_mode()
def alone(model: Any, prompt: Prompt) -> list[int]:
    """The whole sequence through the model for every token."""
    drawn: list[int] = []
    while len(drawn) < SAMPLING.max_new_tokens and not (drawn and SAMPLING.is_stop[drawn[-1]]):
        logits = model(input_ids=torch.tensor([[*prompt.token_ids, *drawn]])).logits[0, -1]
        log_probs = torch.log_softmax(logits.float() / SAMPLING.temperature, dim=-1).double().numpy()[None]
        key = np.array([prompt.noise_key], dtype=np.uint64)
        step = np.array([len(drawn)])
        drawn += draw_tokens(log_probs, np.arange(VOCABULARY)[None], key, step, SAMPLING.top_p).tolist()
    return drawn


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2", "bloom"])
def test_slots_refills_and_moves_change_no_token(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_module, "SPARE_COLUMNS", 2)
    model, prompts = model_of(architecture), prompts_of(23)
    expected = [alone(model, prompt) for prompt in prompts]
    assert 2 < np.mean([len(tokens) for tokens in expected]) < 12
    for num_slots in (1, 3, 8, 64):
        decoded = dict(Decoder(model, SAMPLING, num_slots).decode(prompts))
        assert [decoded[number] for number in range(len(prompts))] == expected


@pytest.mark.parametrize("num_candidates", [4, VOCABULARY])
def test_a_nucleus_wider_than_the_fetched_candidates_is_drawn_from_whole(
    num_candidates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prompts = model_of("llama"), prompts_of(6)
    expected = [alone(model, prompt) for prompt in prompts]
    monkeypatch.setattr(decoder_module, "NUM_CANDIDATES", num_candidates)
    decoded = dict(Decoder(model, SAMPLING, 4).decode(prompts))
    assert [decoded[number] for number in range(len(prompts))] == expected


def test_every_sequence_ends_at_its_first_stop_or_at_the_limit() -> None:
    for _, tokens in Decoder(model_of("llama"), SAMPLING, 8).decode(prompts_of(40)):
        assert not SAMPLING.is_stop[tokens[:-1]].any()
        assert SAMPLING.is_stop[tokens[-1]] or len(tokens) == SAMPLING.max_new_tokens


def test_finished_slots_are_refilled_so_that_steps_are_few() -> None:
    decoder = Decoder(model_of("llama"), SAMPLING, 8)
    num_drawn = sum(len(tokens) for _, tokens in decoder.decode(prompts_of(200)))
    assert decoder.num_steps < 1.5 * num_drawn / 8


def test_no_prompt_gives_no_completion() -> None:
    assert list(Decoder(model_of("llama"), SAMPLING, 8).decode([])) == []
