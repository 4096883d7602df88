"""Tables as plain lines that no terminal width cuts: for numbers that people copy."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], num_left: int = 1) -> list[str]:
    """Rows of equal length as lines: the first `num_left` columns flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if number < num_left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
