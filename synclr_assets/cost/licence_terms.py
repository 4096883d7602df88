"""Licences that generators come under, and the clauses a user of their output must look at, in our own words.

A reading aid with the public source of each text; not legal advice. A licence that is not here is said to be
unknown, never taken for a harmless one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NOT_ADVICE = (
    "Summaries in our own words to show you where to look; not legal advice. The licence's text decides."
)
UNRESTRICTED = "It asks nothing of the use of output."
"""Said of a licence without clauses."""

LLAMA_USERS = (
    "Whoever, with affiliates, had more than 700 million monthly users when the model was released needs a "
    "licence from Meta first."
)
LLAMA_POLICY = "Use must follow Meta's acceptable use policy, which the licence makes part of itself."
OPENRAIL_USES = (
    "The uses listed in its Attachment A are forbidden (unlawful or harmful use, harm to minors, "
    "disinformation, discrimination, medical advice and others), and whoever passes on the model or a "
    "derivative must pass on the same restrictions."
)
OPENRAIL_OUTPUT = (
    "The licensor claims no rights in the images, but you answer for them and their use, which must keep "
    "to the licence; read its definition of derivatives, which mentions models trained on output to "
    "perform alike."
)


@dataclass(frozen=True)
class Licence:
    """One licence or one provider's terms."""

    name: str
    pattern: str
    """Regular expression that finds it in a recorded name, whose letters are small and blanks single."""
    source: str
    """Where its text is published."""
    clauses: tuple[str, ...]
    """What a user of the output must look at; empty where output is not restricted."""


UNKNOWN = Licence(
    name="unknown",
    pattern="",
    source="",
    clauses=(
        "This name stands for no licence known here, so nothing can be said about what the data may be "
        "used for: read the terms of the model or provider before training on it or passing it on.",
    ),
)


def _llama_3(version: str, url: str) -> Licence:
    return Licence(
        name=f"Llama {version} Community License",
        pattern=rf"llama ?{re.escape(version)}\b",
        source=url,
        clauses=(
            "A model that is trained or improved with the output and passed on must have a name that "
            "begins with 'Llama', and 'Built with Llama' must be shown with it.",
            LLAMA_USERS,
            LLAMA_POLICY,
        ),
    )


LICENCES: tuple[Licence, ...] = (
    _llama_3("3.1", "https://www.llama.com/llama3_1/license/"),
    _llama_3("3.2", "https://www.llama.com/llama3_2/license/"),
    _llama_3("3.3", "https://www.llama.com/llama3_3/license/"),
    _llama_3("4", "https://www.llama.com/llama4/license/"),
    Licence(
        "Llama 3 Community License",
        r"llama ?3\b(?!\.\d)",
        "https://www.llama.com/llama3/license/",
        (
            "Output must not be used to improve any large language model but Llama 3 and its derivatives.",
            "A model made with it and passed on must have a name that begins with 'Llama 3', and 'Built "
            "with Meta Llama 3' must be shown.",
            LLAMA_USERS,
            LLAMA_POLICY,
        ),
    ),
    Licence(
        "Llama 2 Community License",
        r"llama ?2\b",
        "https://ai.meta.com/llama/license/",
        (
            "Output must not be used to improve any large language model but Llama 2 and its derivatives; "
            "captions that you publish can be used so by others, so pass this on with them.",
            LLAMA_USERS,
            LLAMA_POLICY,
        ),
    ),
    Licence(
        "OpenAI terms",
        r"open ?ai",
        "https://openai.com/policies/",
        (
            "Output must not be used to develop models that compete with OpenAI's; judge whether an "
            "encoder or a published data set could.",
            "You own the output as far as the law allows, and the same text may be given to others.",
        ),
    ),
    Licence(
        "Anthropic terms",
        r"anthropic|claude",
        "https://www.anthropic.com/legal/commercial-terms",
        (
            "The service and its output must not be used to build competing products or train competing "
            "models.",
        ),
    ),
    Licence(
        "Gemma terms of use",
        r"\bgemma\b",
        "https://ai.google.dev/gemma/terms",
        (
            "A model trained on output to perform alike counts as a derivative and comes under the same "
            "terms.",
            "The prohibited uses must be passed on with the model and its derivatives.",
        ),
    ),
    Licence(
        "CreativeML Open RAIL++-M",
        r"rail ?\+\+|openrail ?\+\+",
        "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
        (OPENRAIL_USES, OPENRAIL_OUTPUT),
    ),
    Licence(
        "CreativeML OpenRAIL-M",
        r"open ?rail ?m\b",
        "https://huggingface.co/spaces/CompVis/stable-diffusion-license",
        (OPENRAIL_USES, OPENRAIL_OUTPUT),
    ),
    Licence(
        "Stability AI Community License",
        r"stability ?ai.*community|stabilityai ai community|sai community",
        "https://stability.ai/community-license-agreement",
        (
            "Free only for those with less than one million US dollars of yearly revenue, and after "
            "registration for commercial use.",
            "Output must not be used to create or improve foundational generative models.",
        ),
    ),
    Licence(
        "FLUX.1 [dev] Non-Commercial License",
        r"flux.*(non ?commercial|dev)",
        "https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md",
        (
            "The model itself is for non-commercial purposes only.",
            "Output must not be used to train a model that competes with it.",
        ),
    ),
    Licence(
        "Apache-2.0", r"apache(.license)? ?(version )?2", "https://www.apache.org/licenses/LICENSE-2.0", ()
    ),
    Licence("MIT", r"^(the )?mit\b", "https://opensource.org/license/mit", ()),
    Licence("BSD", r"^bsd\b", "https://opensource.org/license/bsd-3-clause", ()),
    Licence("CC0-1.0", r"\bcc ?0\b", "https://creativecommons.org/publicdomain/zero/1.0/", ()),
    Licence(
        "Creative Commons, non-commercial",
        r"\bcc by nc",
        "https://creativecommons.org/licenses/",
        ("Commercial use is not allowed; the author must be named.",),
    ),
    Licence(
        "Creative Commons, share alike",
        r"\bcc by sa",
        "https://creativecommons.org/licenses/by-sa/4.0/",
        ("The author must be named, and what is adapted from it must come under the same licence.",),
    ),
    Licence(
        "Creative Commons, attribution",
        r"\bcc by\b",
        "https://creativecommons.org/licenses/by/4.0/",
        ("The author must be named.",),
    ),
)
"""Tried in this order; the first that is found in a recorded name."""


def licence_named(recorded: str) -> Licence:
    """The licence that a recorded name stands for; UNKNOWN where it fits none."""
    plain = " ".join(re.sub(r"[^a-z0-9.+]+", " ", recorded.casefold()).split())
    return next((one for one in LICENCES if re.search(one.pattern, plain)), UNKNOWN)
