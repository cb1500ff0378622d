"""A text cut into sentences."""

import re

END = re.compile(
    r"""
    \s*\n\s*                        # an end of line, or
    | (?: (?<=[.?!]) | (?<=[.?!]["'”’)\]]) )   # behind a full stop and perhaps what it closes
    \s+
    (?= ["'“‘(\[£$]* [A-Z0-9À-ÖØ-Þ])   # before a capital or a digit, and perhaps what opens it
    """,
    re.VERBOSE,
)


def sentences(text: str) -> list[str]:
    r"""The sentences of a text, in order; joined by spaces they are the text, up to white space.

    A sentence ends with a line, and where `.`, `?` or `!` (and perhaps a quotation mark or bracket
    that closes) is followed by white space and a capital or digit (and perhaps a mark that opens).
    So `Mr. Smith` is cut, and `e.g. this` and `U.S.` within a word are not.

    >>> sentences("Sales rose 2.5%. Why? \"We sold more.\" He smiled\nThe end.")
    ['Sales rose 2.5%.', 'Why?', '"We sold more."', 'He smiled', 'The end.']
    """
    return [found for part in END.split(text) if (found := part.strip())]


def lead(text: str, count: int) -> str:
    """The first `count` sentences of a text: what a summary has to beat."""
    return " ".join(sentences(text)[:count])
