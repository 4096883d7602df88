"""Numbers as a reader wants them: grouped counts, sizes, durations. Pure functions of one value."""

from __future__ import annotations

THIN_SPACE = "\u202f"


def grouped(count: float) -> str:
    """A whole number with its thousands set apart."""
    return f"{count:,.0f}".replace(",", THIN_SPACE)


def size(size_bytes: float) -> str:
    """Bytes in the largest decimal unit that keeps the number at 1 or more."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    power = 0
    while size_bytes >= 1000 and power < len(units) - 1:
        size_bytes, power = size_bytes / 1000, power + 1
    return (
        f"{size_bytes:.0f} {units[power]}"
        if power == 0 or size_bytes >= 100
        else f"{size_bytes:.1f} {units[power]}"
    )


def duration(seconds: float) -> str:
    """Seconds in the two largest fitting units."""
    if 0 < seconds < 0.1:
        return "< 0.1 s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{grouped(hours)} h {minutes} min"


def tied(sentence: str) -> str:
    """The sentence with every percent sign kept on the line of its number."""
    return sentence.replace(" %", "\u00a0%")


def plain(value: object) -> str:
    """A setting as one would write it: no trailing zeros, no exponent between 0.0001 and 1000000."""
    return f"{value:g}" if isinstance(value, float) else str(value)
