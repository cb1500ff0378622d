"""A trained run goes on with a text, and refuses what it cannot read."""

import pytest

from tests.experiments.scripts import TRAINED, module_of, start

PROMPT = "def "


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A transformer, two replicas of an LSTM, and a classifier."""
    folder = tmp_path_factory.mktemp("runs")
    small = "--window", "16", "--width", "8", "--num-layers", "1", *TRAINED
    rows = {
        "transformer": ("language.char_lm", "--width", "12", *small[:2], *small[4:]),
        "lstm": ("language.char_lm", "--model", "lstm", "--seeds", "2", *small),
        "classifier": (
            "sequence.sst2", "--dataset", "sentiment", "--max-length", "8", "--embedding-dim", "4",
            "--hidden-dim", "4", "--cells", "rnn", "--windows", "0", *TRAINED,
        ),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, (script, *options) in rows.items():
            start(patch, script, *options, "--out", str(folder), "--name", name)
    return folder


def written(monkeypatch, capsys, run, prompt=PROMPT, *options):
    capsys.readouterr()
    start(monkeypatch, "language.generate", "--run", str(run), "--prompt", prompt, *options)
    return capsys.readouterr().out.split("\n", 1)[1].removesuffix("\n")


@pytest.mark.usefixtures("without_rendering")
@pytest.mark.parametrize("name", ["transformer", "lstm"])
def test_it_goes_on_with_the_prompt(runs, monkeypatch, capsys, name):
    """Further than a transformer remembers; the same with the same seed, and greedily."""
    options = "--count", "40", *(("--replica", "1") if name == "lstm" else ())
    texts = [
        written(monkeypatch, capsys, runs / name, PROMPT, *options, *more)
        for more in ((), (), ("--seed", "1"), ("--temperature", "0"), ("--top-k", "1"),
                     ("--top-p", "1e-6"), ("--count", "7"))
    ]  # fmt: skip
    assert all(text.startswith(PROMPT) for text in texts)
    assert [len(text) for text in texts] == [len(PROMPT) + 40] * 6 + [len(PROMPT) + 7]
    first, again, other, greedy, one, nucleus, short = texts
    assert first == again != other
    assert greedy == one == nucleus
    assert first.startswith(short)
    stopped = written(monkeypatch, capsys, runs / name, PROMPT, *options, "--stop", first[6:9])
    assert stopped == first[: first.index(first[6:9], len(PROMPT)) + 3]


@pytest.mark.parametrize(
    ("name", "prompt", "options", "said"),
    [
        ("lstm", PROMPT, (), "holds 2 replicas: choose one"),
        ("transformer", "", (), "the prompt is '', expected at least one token"),
        ("transformer", "a ☃ b ☃", (), "the prompt has '☃', which the network's vocabulary lacks"),
        ("transformer", "a" * 16, (), "the prompt has 16 tokens, the network remembers 16"),
        ("transformer", PROMPT, ("--count", "0"), "count is 0"),
        ("transformer", PROMPT, ("--top-p", "2"), "top_p is 2.0"),
        ("classifier/rnn,_all", PROMPT, (), "holds a recurrent_classifier, expected a language"),
        ("nowhere", PROMPT, (), "nowhere"),
    ],
)
def test_what_it_cannot_go_on_with_is_one_sentence(
    runs, monkeypatch, capsys, name, prompt, options, said
):
    with pytest.raises(SystemExit) as end:
        written(monkeypatch, capsys, runs / name, prompt, *options)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split())
    assert error.count("\n") == 1


TUNE = """X: 1
T:A march
M:4/4
L:1/8
K:G
"G"G2 B2 d2 g2|"D"f2 a2 d4|"C"e2 g2 "D"d2 f2|"G"g8|]"""


def test_tunes_are_written_and_those_that_are_music_counted(runs, monkeypatch, capsys):
    """A network that has learned nothing writes none."""
    music21 = pytest.importorskip("music21")
    tunes = module_of("language.tunes")
    assert tunes.whole_tune(f"{TUNE}\n\nT:what follows") == TUNE
    assert tunes.whole_tune(f"{TUNE}\nX: 2\nT:another") == TUNE
    assert tunes.can_be_read(music21.converter, TUNE)
    assert not tunes.can_be_read(music21.converter, "X: 1\nT:A march\n")
    assert not tunes.can_be_read(music21.converter, "X: 1 def main(self):")
    capsys.readouterr()
    start(monkeypatch, "language.tunes", "--run", str(runs / "transformer"), "--count", "3")
    assert "0 of 3 tunes can be read" in capsys.readouterr().out
