"""A list of names in a text file as buckets: every name checked, every fault reported with its line.

Decides, writes nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from synclr_assets.concept_bank.allocation import allocate
from synclr_assets.concept_bank.bucket import SOURCES, Bucket, Concept, normalise
from synclr_assets.concept_bank.bucket_file import MAX_CONCEPT_CHARS, MAX_NUM_CAPTIONS
from synclr_assets.concept_bank.init.plan import PlannedBank
from synclr_assets.concept_bank.names import MAX_NAME_CHARS, check_name, suggest_slug
from synclr_assets.concept_bank.problems import Problem, RefusedError, quote
from synclr_assets.concept_bank.values import sameness, text_of

CAPTIONS_PER_NAME = 100
"""Captions of one generation for each name, when no total is given."""
COMMENT = "#"
MAX_FILE_BYTES = 64 * 2**20
"""Size of a list of names, in bytes."""


class NamesFileError(ValueError):
    """A list of names that cannot become buckets: one sentence per fault, one fault per line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(problem.sentence for problem in problems))
        self.problems = tuple(problems)


class CustomBankError(ValueError):
    """A bucket name or budget that a list of names cannot have; one sentence."""


def custom_bank(
    path: Path,
    bucket: str | None = None,
    num_captions: int | None = None,
    max_names_per_bucket: int | None = None,
) -> PlannedBank:
    """The names in `path` as one bucket, or as several of at most `max_names_per_bucket` and a slice of them.

    `bucket` defaults to the file's name as a slug, `num_captions` (in all) to `CAPTIONS_PER_NAME` a name.
    Raises NamesFileError and CustomBankError.
    """
    name = _bucket_name(bucket, path)
    concepts = concepts_of(path)
    size = max_names_per_bucket or len(concepts)
    parts = [tuple(concepts[start : start + size]) for start in range(0, len(concepts), size)]
    budgets = allocate(num_captions or CAPTIONS_PER_NAME * len(concepts), [len(part) for part in parts])
    _check_budgets(budgets, num_captions)
    names = _part_names(name, len(parts))
    buckets = tuple(
        Bucket(part_name, f"From {path.name}", "custom", budget, normalise(SOURCES["custom"]), part, Path())
        for part_name, budget, part in zip(names, budgets, parts, strict=True)
    )
    return PlannedBank(buckets, {name: names} if len(names) > 1 else {})


def concepts_of(path: Path) -> list[Concept]:
    """One concept per line of `path`; empty lines and those that begin with # are passed over.

    Raises NamesFileError with every fault: unreadable, not UTF-8, no name, a bad name, a name given twice.
    """
    try:
        lines = _lines_of(path)
    except RefusedError as refusal:
        raise NamesFileError([refusal.in_file(str(path))]) from refusal
    templates = tuple(normalise(SOURCES["custom"]))
    concepts: list[Concept] = []
    problems: list[Problem] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith(COMMENT):
            continue
        try:
            text = text_of(line, f"line {number}", MAX_CONCEPT_CHARS)
            earlier = first_line.setdefault(sameness(text), number)
            if earlier != number:
                raise RefusedError(
                    f"line {number}", f"{quote(text)} repeats line {earlier}", "remove one of the two"
                )
        except RefusedError as refusal:
            problems.append(refusal.in_file(str(path)))
        else:
            concepts.append(Concept(text, text, 1.0, templates))
    if not concepts and not problems:
        problems.append(Problem(str(path), "", "holds no name", "write one name per line, such as owl"))
    if problems:
        raise NamesFileError(problems)
    return concepts


def _lines_of(path: Path) -> list[str]:
    mend = "name a text file with one name per line"
    if not path.exists():
        raise RefusedError("", "there is no such file", mend)
    if not path.is_file():
        raise RefusedError("", "is no ordinary file", mend)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RefusedError("", f"is larger than {MAX_FILE_BYTES} bytes", "split it into several lists")
        content = path.read_bytes()
    except OSError as error:
        raise RefusedError(
            "", f"cannot be read ({error.strerror})", "make it readable or name another"
        ) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise RefusedError(
            f"line {line}", f"the byte 0x{byte:02x} is not UTF-8", "save the file as UTF-8"
        ) from error
    # Not splitlines(), which also splits at characters that text_of has to see and refuse.
    return text.replace("\r\n", "\n").split("\n")


def _bucket_name(given: str | None, path: Path) -> str:
    if given is None:
        return suggest_slug(path.stem)
    try:
        return check_name(given, "--bucket")
    except RefusedError as refusal:
        raise CustomBankError(f"{refusal}.") from refusal


def _part_names(name: str, num_parts: int) -> tuple[str, ...]:
    if num_parts == 1:
        return (name,)
    width = len(str(num_parts))
    names = tuple(f"{name}-{number:0{width}}" for number in range(1, num_parts + 1))
    if len(names[0]) > MAX_NAME_CHARS:
        raise CustomBankError(
            f"--bucket: {quote(names[0])} has {len(names[0])} characters, more than {MAX_NAME_CHARS}; "
            "give a shorter name."
        )
    return names


def _check_budgets(budgets: Sequence[int], given: int | None) -> None:
    if min(budgets) < 1:
        raise CustomBankError(
            f"--captions {given}: there are {len(budgets)} buckets, and one would get none; give "
            "more captions, or a larger --per-bucket."
        )
    if max(budgets) > MAX_NUM_CAPTIONS:
        raise CustomBankError(
            f"--captions: a bucket would get {max(budgets)}, more than {MAX_NUM_CAPTIONS}; give "
            "fewer captions, or a smaller --per-bucket."
        )
