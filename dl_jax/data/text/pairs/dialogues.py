"""A small language of dialogues between two people, generated, each with its gist.

One asks the other for a task, a plan, or a thing, or offers one. The day may be corrected, or
another one proposed, which is consented to or not. In the end it is agreed or declined:

    Jolan: Listen, could you feed the cat on Monday? Sorry, not Monday but Friday.
    Semi: Yes, of course. I was away on Sunday.

    Semi will feed the cat for Jolan on Friday.

Names are drawn from thousands, and those of validation and test are never in the training part:
they can only be copied. So with what is said: its template (a lead, a core and a tail) belongs to
one split, while its words occur in all.
"""

import re
from collections.abc import Sequence
from functools import cache
from itertools import permutations, product
from typing import NamedTuple

import numpy as np

from dl_jax.data.text.pairs.phrases import (
    CORES,
    DAYS,
    GISTS,
    LEADS,
    PLANS,
    TAILS,
    TASKS,
    THINGS,
)
from dl_jax.errors import check_integer

MARKS = {"train": (2, 3, 4), "validation": (1,), "test": (0,)}
"""The split of a template, by the sum of its three places modulo 5; and of a name, by its place."""
CONSONANTS, VOWELS, ENDINGS = "fjlmnrsvy", "aeiou", ("", *"klmnrst")
BARE = 0.6
"""How often what is said has no lead, and how often no tail."""
GREETED = 0.4
"""How often who is asked speaks first, with a greeting."""


class Dialogue(NamedTuple):
    """What was said, a line each, and what came of it."""

    text: str
    gist: str


def dialogues(split: str, count: int, seed: int = 0) -> list[Dialogue]:
    """Dialogues of a split, all different.

    Args:
        split: `train`, `validation` or `test`: whose names and templates are used.
        count: number of dialogues.
        seed: of the generator; the same seed gives the same dialogues.
    """
    check_integer("the number of dialogues", count, low=1)
    random = np.random.default_rng([seed, list(MARKS).index(split)])
    found: dict[str, Dialogue] = {}
    while len(found) < count:
        dialogue = _dialogue(random, split)
        found[dialogue.text] = dialogue
    return list(found.values())


@cache
def names(split: str) -> tuple[str, ...]:
    """The names of a split: two syllables of different letters, and perhaps an ending."""
    pairs = product(permutations(CONSONANTS, 2), permutations(VOWELS, 2), ENDINGS)
    made = [f"{c}{v}{d}{w}{end}".title() for (c, d), (v, w), end in pairs if end not in (c, d)]
    shuffled = [made[place] for place in np.random.default_rng(0).permutation(len(made))]
    return tuple(name for place, name in enumerate(shuffled) if place % 5 in MARKS[split])


def _dialogue(random: np.random.Generator, split: str) -> Dialogue:
    asker, answerer = _two_names(random, names(split))
    first, second, other_day = _different(random, DAYS, 3)
    task, other_task = _different(random, TASKS, 2)
    thing, other_thing = _different(random, THINGS, 2)
    kind = _choice(random, ("task", "plan", "borrow", "offer"))
    course = _choice(random, ("plain", "corrected", "consented", "insisted"))
    agreed = course == "consented" or bool(random.integers(2))
    slots = {
        "task": task, "plan": _choice(random, PLANS), "thing": thing, "first": first,
        "second": second, "final": second if course in ("corrected", "consented") else first,
        "other_day": other_day, "other_task": other_task, "other_thing": other_thing,
    }  # fmt: skip
    lines = []
    for asks, acts in _turns(random, kind, course, agreed):
        speaker, other = (asker, answerer) if asks else (answerer, asker)
        said = " ".join(_template(random, split, act) for act in acts)
        lines.append(f"{speaker}: {said.format(**slots, other=other)}")
    gist = GISTS[kind, agreed].format(**slots, asker=asker, answerer=answerer)
    return Dialogue("\n".join(lines), gist)


def _turns(
    random: np.random.Generator, kind: str, course: str, agreed: bool
) -> list[tuple[bool, list[str]]]:
    """For each line, whether the asker speaks, and the acts of it."""
    turns = [(True, [kind, "correct"] if course == "corrected" else [kind])]
    if random.random() < GREETED:
        turns.insert(0, (False, ["greet"]))
    if course == "consented":
        turns += [(False, ["counter"]), (True, ["consent"])]
    elif course == "insisted":
        turns += [(False, ["counter"]), (True, ["insist"])]
    if course != "consented":
        turns.append((False, ["accept" if agreed else "decline"]))
    return turns


def _two_names(random: np.random.Generator, known: Sequence[str]) -> tuple[str, str]:
    """Two names that do not begin alike."""
    first = second = _choice(random, known)
    while first[0] == second[0]:
        second = _choice(random, known)
    return first, second


def _template(random: np.random.Generator, split: str, act: str) -> str:
    """A lead, a core and a tail that belong to the split, as sentences."""
    lead = 0 if random.random() < BARE else int(random.integers(1, len(LEADS)))
    tail = 0 if random.random() < BARE else int(random.integers(1, len(TAILS)))
    cores = [
        core for place, core in enumerate(CORES[act]) if (lead + place + tail) % 5 in MARKS[split]
    ]
    said = " ".join(part for part in (LEADS[lead], _choice(random, cores), TAILS[tail]) if part)
    return re.sub(r"(^|[.?!] )([a-z])", lambda found: found[1] + found[2].upper(), said)


def _different(random: np.random.Generator, options: Sequence[str], count: int) -> list[str]:
    return [options[int(place)] for place in random.permutation(len(options))[:count]]


def _choice(random: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(random.integers(len(options)))]
