"""What is wrong with a bank, each as one sentence: file, field, fault, mend.

Holds the words only; the rules that find faults live with what they read.
"""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass

MAX_QUOTED_CHARS = 60
MAX_CHOICES = 12


@dataclass(frozen=True)
class Problem:
    """One fault of one file, for the CLI and the UI."""

    file: str
    """The file (or the folder itself) as the user reaches it: the folder as given, then the file's name."""
    field: str
    """Where in the file, such as `concepts[3].weight` or `line 7`; empty when it is the file as a whole."""
    message: str
    """What is wrong, without a full stop."""
    mend: str
    """What to do about it, without a full stop."""

    @property
    def sentence(self) -> str:
        """The whole fault as one sentence on one line."""
        file = self.file if self.file.isprintable() else ascii(self.file)
        place = f"{file}, {self.field}" if self.field else file
        return f"{place}: {self.message}; {self.mend}."


class RefusedError(ValueError):
    """A value that a bank cannot take; becomes a `Problem` once the file is known."""

    def __init__(self, field: str, message: str, mend: str) -> None:
        super().__init__(f"{field}: {message}; {mend}" if field else f"{message}; {mend}")
        self.field = field
        self.message = message
        self.mend = mend

    def in_file(self, file: str) -> Problem:
        """This fault as a problem of `file`."""
        return Problem(file, self.field, self.message, self.mend)


def quote(text: str) -> str:
    """`text` in double quotes on one line, control characters escaped, long text cut."""
    shown = text if len(text) <= MAX_QUOTED_CHARS else text[: MAX_QUOTED_CHARS - 3] + "..."
    return json.dumps(shown, ensure_ascii=not shown.isprintable())


def key_path(*keys: str) -> str:
    """Keys joined to a field such as `slices.shapes`, on one line and cut as `quote` cuts."""
    return ".".join(quote(key)[1:-1] for key in keys)


def among(word: str, choices: Iterable[str]) -> str:
    """The mend for a word that is none of `choices`: the nearest one when there is one, else all of them."""
    names = list(choices)
    nearest = difflib.get_close_matches(word[:MAX_QUOTED_CHARS], names, n=1)
    if nearest:
        return f"perhaps {quote(nearest[0])} was meant"
    shown = names if len(names) <= MAX_CHOICES else [*names[:MAX_CHOICES], "..."]
    return f"use one of {', '.join(shown)}" if names else "there is none to choose from"
