"""The generated dialogues: what the test part shares with training, and whether the gist is so."""

import re

import pytest

from dl_jax.data import SPLITS, PairData
from dl_jax.data.text.pairs.dialogues import dialogues, names
from dl_jax.data.text.pairs.phrases import CORES, DAYS, PLANS, TASKS, THINGS

FOUND = {split: dialogues(split, 400) for split in SPLITS}
SLOTS = {"DAY": DAYS, "TASK": TASKS, "PLAN": PLANS, "THING": THINGS}
REFUSED = ("I say no", "not this time", "is not possible, sorry", "afraid not", "can not count")
AGREED = ("of course", "fine with me", "I say yes", "you have my word", "yes, you can count")
INSISTED = ("has to be", "sorry, only", "must be", "can only say", "or not at all")
ASIDES = r" (I was away on|My sister has to|My brother has a new) [^.]*\."


def turns(dialogue):
    return [tuple(line.split(": ", 1)) for line in dialogue.text.split("\n")]


def template(said: str) -> str:
    """What is said without its names, days and so on."""
    for slot, options in SLOTS.items():
        said = re.sub("|".join(options), slot, said)
    return re.sub(r"[A-Z][a-z]+(?=, )", lambda name: "NAME" * known(name[0]) or name[0], said)


def known(name: str) -> bool:
    return any(name in names(split) for split in SPLITS)


def gist_of(dialogue) -> str:
    """Read by other rules than those by which it was made."""
    lines = [(speaker, re.sub(ASIDES, "", f" {said}")) for speaker, said in turns(dialogue)]
    place, ((slot, what), *_) = next(
        (place, found)
        for place, (_, said) in enumerate(lines)
        if (found := [(slot, option) for slot, options in list(SLOTS.items())[1:]
                      for option in options if option in said])
    )  # fmt: skip
    asker, asked = lines[place]
    (other,) = {speaker for speaker, _ in lines} - {asker}
    rest = [said for _, said in lines[place + 1 :]]
    days = [re.findall("|".join(DAYS), said) for said in (asked, *rest)]
    agreed = not any(word in rest[-1].lower() for word in map(str.lower, REFUSED))
    assert agreed or not any(word in rest[-1].lower() for word in map(str.lower, AGREED))
    if len(rest) == 1:  # of a day and its correction, the one that is named and not put aside
        aside = re.findall(r"not (\w+day)|(\w+day) is wrong|than (\w+day)", asked)
        left = [day for day in days[0] if day not in {name for names in aside for name in names}]
        day = left[-1]
    elif any(word in rest[1].lower() for word in map(str.lower, INSISTED)):
        day = days[0][0]
    else:
        (day,) = set(days[1]) - {days[0][0]}
    offered = re.search(r"(?i)\bmy (?!word)", asked) is not None
    verb = "will" if agreed else "will not"
    if slot == "TASK":
        return f"{other} {verb} {what} for {asker} on {day}."
    if slot == "PLAN" and agreed:
        return f"{asker} and {other} will {what} on {day}."
    if slot == "PLAN":
        return f"{other} will not {what} with {asker} on {day}."
    if not offered:
        return f"{other} {verb} lend {asker} the {what} on {day}."
    if agreed:
        return f"{asker} will lend {other} the {what} on {day}."
    return f"{other} will not borrow the {what} of {asker} on {day}."


@pytest.mark.parametrize("split", SPLITS)
def test_the_gist_is_what_was_agreed(split):
    for dialogue in FOUND[split]:
        assert gist_of(dialogue) == dialogue.gist, dialogue.text


@pytest.mark.parametrize("split", ["validation", "test"])
def test_neither_names_nor_templates_are_seen_in_training(split):
    seen, unseen = (
        {
            "names": {speaker for each in FOUND[part] for speaker, _ in turns(each)},
            "templates": {template(said) for each in FOUND[part] for _, said in turns(each)},
        }
        for part in ("train", split)
    )
    assert not set(names("train")) & set(names(split))
    assert unseen["names"] <= set(names(split))
    assert len(unseen["templates"]) > 100
    assert not seen["templates"] & unseen["templates"]


def test_the_test_is_made_of_words_and_letters_of_the_training_part():
    data = PairData(count=640, min_count=12).load()
    assert {split: len(each) for split, each in data.items()} == {
        "train": 640, "validation": 40, "test": 40,
    }  # fmt: skip
    train = data["train"]
    assert not {piece.strip() for piece in train.tokenizer.described()["vocabulary"]} & set(
        names("train")
    )
    tokens = {split: set(each.arrays["source"].ravel().tolist()) for split, each in data.items()}
    assert tokens["test"] | tokens["validation"] <= tokens["train"]
    for each in data.values():  # nothing is cut
        assert each.arrays["source_length"].max() < 128
        assert (each.arrays["target"] == each.end).sum() == len(each)
    texts = [set(each.texts) for each in data.values()]
    assert len(set.union(*texts)) == sum(map(len, texts)) == 720


def test_dialogues_are_a_function_of_the_seed():
    assert dialogues("test", 20) == FOUND["test"][:20] != dialogues("test", 20, seed=1)
    assert min(map(len, CORES.values())) >= 5  # a core of each split for each lead and tail
