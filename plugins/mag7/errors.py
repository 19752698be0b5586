"""The base of every error that this project raises on purpose, and its one-line message."""

from __future__ import annotations

from typing import ClassVar

LONGEST_LINE = 200
LONGEST_MESSAGE = 4_000
"""Letters of a whole message: a month of refused sessions with their reasons fits."""


class Mag7Error(Exception):
    """An error of ours: its one-line message says what happened, with the values that matter, and what to do next.

    The message is printable whatever foreign text it quotes. ``transient`` says whether the same step may succeed when
    it is simply tried again a little later.
    """

    transient: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        line = one_line(message, len(message))
        if len(line) > LONGEST_MESSAGE:
            # The next step is at the end.
            half = LONGEST_MESSAGE // 2
            line = f"{line[: half - 3]} ... {line[-(half - 2) :]}"
        super().__init__(line)


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Cut foreign text to one short printable line: no line ends, control characters or half surrogate pairs."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 10 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
