"""A tiny Llama taught, in seconds, to do for a few concepts what the paper's language models do for all.

It completes few-shot prompts with captions that name the concept, and answers the question for backgrounds with a JSON
list. Saved as an ordinary model folder with a chat template, beside the prompt set it was taught with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.random_language_model import LlamaSize, llama_of, train_tokenizer
from synclr_assets.synthesis.identity import TEMPLATES, draw
from synclr_assets.synthesis.openai_backgrounds import LIST_INSTRUCTION, LIST_QUESTION
from synclr_assets.synthesis.prompts import load_prompt_set

PROMPT_SET = """\
version: lesson
headers: {c: "Captions:", c_rel: "Captions:", c_bg: "Captions:"}
relations: [beside, behind]
examples:
  c: [cup => A cup on a desk., box => A box by a wall., tree => A tree in the wind.]
  c_rel: ["cup, beside => A cup beside a jar.", "box, behind => A box behind a bush.",
    "tree, beside => A tree beside a flag."]
  c_bg: ["cup, a desk => A cup on a desk.", "box, a hall => A box in a hall.", "tree, a field => A tree in a field."]
"""
BACKGROUNDS = (
    "a garden",
    "a harbour",
    "a kitchen",
    "a library",
    "a market",
    "a station",
    "a meadow",
    "a street",
)
COLOURS = "red blue green black white yellow orange purple grey brown".split()
THINGS = "chair basket fence bottle bucket ladder barrel window bench crate".split()
TIMES = "at dawn, at night, at noon, in the rain, in the snow, in the fog, in the sun, in spring".split(", ")
CHAT_TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
SIZE = LlamaSize(width=64, mlp_width=128, layers=2, heads=4, vocabulary=640)
LESSONS_PER_TEMPLATE = 400
CAPTIONS_PER_STEP = 12
IGNORED = -100


def save_taught_llama(folder: Path, concepts: Sequence[str], num_backgrounds: int, num_steps: int) -> Path:
    """Teach the concepts' captions and lists, and save model and `prompts.yaml`; the folder."""
    import torch

    folder.mkdir(parents=True)
    (folder / "prompts.yaml").write_text(PROMPT_SET)
    captions = _caption_lessons(concepts, folder / "prompts.yaml")
    lists = [_list_lesson(concept, num_backgrounds) for concept in concepts]
    tokenizer = train_tokenizer([prompt + answer for prompt, answer in captions + lists], SIZE.vocabulary)
    tokenizer.chat_template = CHAT_TEMPLATE
    model = llama_of(SIZE)
    _teach(model, tokenizer, captions, lists, num_steps, torch.Generator().manual_seed(0))
    model.generation_config.do_sample = (
        True  # `transformers serve` decodes greedily where a model does not say so
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _caption_lessons(concepts: Sequence[str], prompt_set: Path) -> list[tuple[str, str]]:
    """(few-shot prompt, caption with its newline) over concepts, templates, relations and backgrounds."""
    prompts = load_prompt_set(prompt_set)
    lessons = []
    for template in TEMPLATES:
        for number in range(LESSONS_PER_TEMPLATE):
            identity = f"lesson/{template}/{number}"
            concept = concepts[number % len(concepts)]
            relation = draw("relation", identity, choices=prompts.relations)
            background = draw("background", identity, choices=BACKGROUNDS)
            request = prompts.request(
                caption_id=identity,
                concept=concept,
                template=template,
                relation=relation,
                background=background,
                attempt=0,
            )
            where = f"in {background}" if template == "c_bg" else f"{relation} a {_any(THINGS, identity)}"
            caption = f" A {_any(COLOURS, identity)} {concept} {where} {_any(TIMES, identity)}.\n"
            lessons.append((request.prompt, caption))
    return lessons


def _any(choices: Sequence[str], identity: str) -> str:
    return draw(choices[0], identity, choices=choices)


def _list_lesson(concept: str, num_backgrounds: int) -> tuple[str, str]:
    """(the question as the chat template words it, a JSON list)."""
    question = LIST_QUESTION.format(count=num_backgrounds, subject=concept)
    return f"{LIST_INSTRUCTION}\n{question}\n", json.dumps({"backgrounds": BACKGROUNDS[:num_backgrounds]})


def _teach(
    model: Any,
    tokenizer: Any,
    captions: Sequence[tuple[str, str]],
    lists: Sequence[tuple[str, str]],
    num_steps: int,
    generator: Any,
) -> None:
    """Fit the answers, not the prompts: captions in most steps, lists in every third."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=6e-3, total_steps=num_steps)
    encoded_captions = [_encoded(tokenizer, lesson) for lesson in captions]
    encoded_lists = [_encoded(tokenizer, lesson) for lesson in lists]
    model.train()
    for step in range(num_steps):
        chosen = torch.randint(len(captions), (CAPTIONS_PER_STEP,), generator=generator).tolist()
        rows = encoded_lists if step % 3 == 0 else [encoded_captions[number] for number in chosen]
        length = max(len(tokens) for tokens, _ in rows)
        tokens = torch.tensor([ids + [1] * (length - len(ids)) for ids, _ in rows])
        labels = torch.tensor([wanted + [IGNORED] * (length - len(wanted)) for _, wanted in rows])
        loss = model(input_ids=tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def _encoded(tokenizer: Any, lesson: tuple[str, str]) -> tuple[list[int], list[int]]:
    """Token ids of prompt and answer, and the labels, which leave the prompt out."""
    prompt, answer = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in lesson)
    beginning, ending = [tokenizer.bos_token_id, *prompt], [*answer, tokenizer.eos_token_id]
    return beginning + ending, [IGNORED] * len(beginning) + ending
