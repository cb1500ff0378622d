"""Music: the rules of its grammar, tokens, MIDI, splits, and what is refused."""

import json
import re
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dl_jax.data import (
    MusicData,
    MusicTokenizer,
    counterpoint,
    fit_music_tokenizer,
    load_music,
    music_tokenizer_of,
    read_chorales,
    read_midi,
    read_music_tokenizer,
    read_tokenizer,
    shuffled,
    tokenizer_json,
    write_midi,
)
from dl_jax.errors import UsageError

SMALL = MusicTokenizer(((60, 62), (40, 41, 45)))
"""0 padding, 1 begin; 2 silence, 3 and 4 known, 5 unknown; 6 silence, 7 to 9 known, 10 unknown."""
PIECE = np.array([[72, 67, 64, 48], [72, 65, 64, -1], [71, 67, 62, 43], [72, 67, 64, 48]])


def pieces_of(music):
    """The pieces of a split, as tuples that can be compared."""
    tokens = np.asarray(music.arrays["tokens"])
    starts = np.flatnonzero(music.arrays["begins"])
    return [tuple(part.tolist()) for part in np.split(tokens, starts[1:])]


def chorales(**changed) -> str:
    return json.dumps({key: [PIECE.tolist()] for key in ("train", "valid", "test")} | changed)


# The grammar


@pytest.fixture(scope="module")
def written():
    return counterpoint(60, seed=3)


def test_voices_keep_their_ranges_and_order_and_never_move_in_parallel(written):
    for piece in written:
        assert piece.shape == (128, 4)
        assert (piece.min(0) >= [60, 55, 48, 40]).all()
        assert (piece.max(0) <= [79, 74, 67, 60]).all()
        for before, after in zip(piece[:-1].tolist(), piece[1:].tolist(), strict=True):
            assert after == sorted(set(after), reverse=True)
            for one, other in combinations(range(4), 2):
                if before[one] != after[one] and before[other] != after[other]:
                    gaps = [(now[one] - now[other]) % 12 for now in (before, after)]
                    assert gaps not in ([0, 0], [7, 7])


def test_a_piece_ends_as_its_key_wants_and_begins_in_it(written):
    bases = set()
    for piece in written:
        tonic = piece[-1, 3] % 12
        third = {int(pitch - tonic) % 12 for pitch in piece[-1]} - {0, 7}
        assert third in ({3}, {4})
        assert piece[0, 3] % 12 in (tonic, (tonic + min(third)) % 12)
        assert (piece[-9] % 12 == (tonic + 11) % 12).sum() == 1  # the leading note, once
        assert len(np.unique(piece[-8:], axis=0)) <= 2  # a long chord, perhaps suspended
        bases.add((int(tonic), min(third)))
    assert len(bases) == 10


def test_a_seed_gives_the_same_pieces(written):
    np.testing.assert_array_equal(written[:5], counterpoint(5, seed=3))
    assert (written[0] != counterpoint(1, seed=4)[0]).any()


# Tokens


@settings(deadline=None, max_examples=60)
@given(arrays(np.int32, st.tuples(st.integers(0, 9), st.just(3)), elements=st.integers(-1, 127)))
def test_any_piece_of_known_pitches_comes_back(piece):
    tokenizer = MusicTokenizer(tuple(tuple(np.unique(v[v >= 0]).tolist()) for v in piece.T))
    tokens = tokenizer.encode(piece)
    assert len(tokens) == 1 + piece.size
    assert all(1 <= token < tokenizer.size for token in tokens)
    np.testing.assert_array_equal(tokenizer.decode([*tokens, 0, 0]), piece)
    again = music_tokenizer_of(json.loads(tokenizer_json(tokenizer)))
    assert again == tokenizer


def test_tokens_tell_their_voice_and_what_is_not_known():
    assert SMALL.size == 11
    assert SMALL.ranges == (range(2, 6), range(6, 11))
    assert (SMALL.silence, SMALL.unknown) == ((2, 6), (5, 10))
    assert SMALL.encode(np.array([[60, 40], [-1, 45], [61, -1], [62, 62]])) == [
        1, 3, 7, 2, 9, 5, 6, 4, 10,
    ]  # fmt: skip
    assert fit_music_tokenizer([PIECE]).pitches == ((71, 72), (65, 67), (62, 64), (43, 48))


@pytest.mark.parametrize(
    ("tokens", "piece"),
    [
        ([1, 3, 7, 4], [[60, 40]]),  # incomplete at the end
        ([3, 4, 7], [[60, 40]]),  # not its turn
        ([7, 3, 7], [[60, 40]]),
        ([1, 3, 1, 4, 7], [[62, 40]]),  # incomplete where a piece begins
        ([3, 0, 7, 0], [[60, 40]]),  # padding
        ([1, 3, 7, 1, 4, 8], [[60, 40], [62, 41]]),  # two pieces
        ([5, 10], [[-1, -1]]),  # unknown
        ([], np.zeros((0, 2))),
    ],
)
def test_whatever_a_network_writes_is_a_piece(tokens, piece):
    np.testing.assert_array_equal(SMALL.decode(tokens), piece)


# MIDI


@settings(deadline=None, max_examples=25)
@given(
    arrays(np.int32, st.tuples(st.integers(1, 24), st.just(4)), elements=st.integers(-1, 127)),
    st.sampled_from([40.0, 90.0, 133.0]),
)
def test_a_written_piece_is_read_again(tmp_path_factory, piece, tempo):
    pytest.importorskip("pretty_midi")
    piece[-1, 1] = 60  # without silence at the end
    path = tmp_path_factory.mktemp("midi") / "piece.mid"
    write_midi(path, piece, tempo)
    np.testing.assert_array_equal(read_midi(path), piece)


def stored(path: Path, *tracks: list[tuple[int, float, float]], drums: int = -1) -> Path:
    """A MIDI file of tracks of notes: pitch, start and end in quarters."""
    library = pytest.importorskip("pretty_midi")
    midi = library.PrettyMIDI(initial_tempo=120)
    for number, notes in enumerate(tracks):
        track = library.Instrument(0, is_drum=number == drums)
        track.notes = [library.Note(80, pitch, start / 2, end / 2) for pitch, start, end in notes]
        midi.instruments.append(track)
    midi.write(str(path))
    return path


@pytest.mark.parametrize(
    ("tracks", "drums", "piece"),
    [
        # As many tracks as voices: each is one, though they cross.
        ([[(60, 0, 0.5)], [(72, 0, 0.25)]], -1, [[60, 72], [60, -1]]),
        # One keyboard: the highest and the lowest.
        ([[(60, 0, 0.5), (64, 0, 0.5), (67, 0, 0.25)]], -1, [[67, 60], [64, 60]]),
        # Drums are none; a note alone is the first voice.
        ([[(60, 0, 0.25)], [(35, 0, 4)]], 1, [[60, -1]]),
        # To the nearest step, and no note shorter than one.
        ([[(60, 0.07, 0.3), (62, 0.5, 0.51)]], -1, [[60, -1], [-1, -1], [62, -1]]),
    ],
)
def test_tracks_become_voices(tmp_path: Path, tracks, drums, piece):
    path = stored(tmp_path / "a.mid", *tracks, drums=drums)
    np.testing.assert_array_equal(read_midi(path, voices=2), piece)


def test_a_midi_file_cut_short_anywhere_is_said(tmp_path: Path):
    pytest.importorskip("pretty_midi")
    path = tmp_path / "piece.mid"
    write_midi(path, PIECE[:2])
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError, match="is cut short, or none .*: copy it again") as caught:
            read_midi(path)
        assert "\n" not in str(caught.value)


# Splits


def test_generated_pieces_are_held_out_whole(written, monkeypatch):
    monkeypatch.setattr("dl_jax.data.music.load.counterpoint", lambda: written)
    data = MusicData(window=16).load()
    found = {split: pieces_of(music) for split, music in data.items()}
    assert [len(pieces) for pieces in found.values()] == [48, 6, 6]
    assert len({piece for pieces in found.values() for piece in pieces}) == 60
    assert all(piece[0] == 1 and len(piece) == 1 + 128 * 4 for piece in found["train"])
    train = data["train"]
    batch = train.batch(np.array([0]))
    assert batch["tokens"].shape == batch["begins"].shape == (1, 16 * 4 + 1)
    assert train.arrays["tokens"].dtype == np.int32
    np.testing.assert_array_equal(train.arrays["begins"], train.arrays["tokens"] == 1)
    other = load_music("counterpoint", split_seed=1, ordering=shuffled)
    assert set(pieces_of(other["test"])) != set(found["test"])
    assert other["train"].ordering is shuffled


def test_a_file_of_chorales_keeps_its_splits_and_training_knows_no_other_pitches(tmp_path: Path):
    path = tmp_path / "chorales.json"
    path.write_text(chorales(valid=[(PIECE + 1).tolist()]))
    data = load_music(str(path), steps=2)
    assert [len(pieces_of(music)) for music in data.values()] == [1, 1, 1]
    tokenizer = data["train"].tokenizer
    np.testing.assert_array_equal(tokenizer.decode(data["test"].arrays["tokens"].tolist()), PIECE)
    assert tokenizer.unknown[2] in data["validation"].arrays["tokens"]
    stored = tmp_path / "tokenizer.json"
    stored.write_text(data["train"].files["tokenizer.json"])
    assert read_music_tokenizer(stored) == tokenizer


def test_training_pieces_are_transposed_where_midi_has_the_pitches(tmp_path: Path):
    high = np.where(PIECE == 72, 127, PIECE)
    path = tmp_path / "chorales.json"
    path.write_text(chorales(train=[PIECE.tolist(), high.tolist()]))
    data = load_music(str(path), steps=2, transpose=1)
    assert [len(pieces_of(music)) for music in data.values()] == [5, 1, 1]
    decoded = [data["train"].tokenizer.decode(piece) for piece in pieces_of(data["train"])]
    down, up = (np.where(PIECE == -1, -1, PIECE + by) for by in (-1, 1))
    expected = [PIECE, high, down, np.where(high == -1, -1, high - 1), up]
    np.testing.assert_array_equal(decoded, expected)


def test_a_folder_of_midi_files_is_music(tmp_path: Path):
    pytest.importorskip("pretty_midi")
    for number, piece in enumerate(counterpoint(3)):
        write_midi(tmp_path / f"{number}.MID", piece)
    (tmp_path / "notes.txt").write_text("none")
    data = load_music(str(tmp_path), steps=4)
    found = [pieces_of(music) for music in data.values()]
    assert [len(pieces) for pieces in found] == [1, 1, 1]


# What is refused


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '{"train": [[[60', "are no JSON, or cut short"),
        ("a.json", "[" * 100_000, "are no JSON, or cut short"),
        ("a.json", '{"train": [], "test": []}', "have no piece in 'train'"),
        ("a.json", "[]", "have no list 'train', expected lists of pieces under train, valid, test"),
        ("a.json", chorales(valid=3), "have no list 'valid'"),
        ("a.json", chorales(test=[[]]), "piece 0 of 'test' in"),
        ("a.json", chorales(test=[5]), "is no list of steps"),
        ("a.json", chorales(test=[[[60, 50], [60]]]), "has 1 pitches in step 1, expected 2"),
        ("a.json", chorales(test=[[[]]]), "expected whole numbers [time, voices]"),
        ("a.json", chorales(test=[[[60.5]]]), "has 60.5 in step 0, expected whole numbers"),
        ("a.json", chorales(test=[[[60], [128]]]), "has the pitch 128 in step 1, expected 0 to"),
        ("a.json", chorales(test=[[[10**20]]]), "has a number that is no pitch"),
        ("a.json", b"caf\xe9", "is not in UTF-8"),
        ("a.json", " ", "is empty"),
    ],
)
def test_what_are_no_chorales_is_said(tmp_path: Path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        read_chorales(path)
    assert str(path) in str(caught.value)


def drums(folder: Path) -> Path:
    return stored(folder / "drums.mid", [(35, 0, 1)], drums=0)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (
            lambda _: load_music("counterpoints"),
            "there is no music 'counterpoints', expected 'coun",
        ),
        (lambda _: load_music("counterpoint", steps=0), "steps is 0"),
        (lambda _: MusicData(transpose=12), "transpose is 12, expected at least 0 and at most 11"),
        (lambda _: MusicData(split_seed=-1), "split_seed is -1"),
        (lambda at: load_music(str(at)), "has no such files, expected files that end in .mid or"),
        (lambda at: load_music(str(drums(at))), "has no notes but those of drums"),
        (
            lambda at: load_music(str(stored(at / "a.midi", [(60, 0, 1)]))),
            "has 1 pieces, expected at least 3, since whole pieces are held out",
        ),
        (lambda at: load_music(str(at / "a.abc")), "ends in '.abc', expected"),
        (lambda at: read_midi(at / "none.mid"), "cannot be read (No such file"),
        (lambda at: read_midi(at / "a.abc"), "is cut short, or none"),
        (lambda at: read_midi(at / "a.mid", voices=0), "voices is 0"),
        (lambda at: write_midi(at / "no" / "a.mid", PIECE), "cannot be written (No such file"),
        (lambda at: write_midi(at / "a.mid", PIECE, tempo=0), "tempo is 0, expected greater"),
        (lambda at: write_midi(at / "a.mid", PIECE / 2), "is float64[4, 4], expected whole numb"),
        (lambda _: SMALL.encode(PIECE), "a piece has 4 voices, expected 2"),
        (lambda _: SMALL.decode([11]), "11 is no token, expected 0 to 10"),
        (lambda _: fit_music_tokenizer([]), "the pieces have no voices"),
        (lambda _: fit_music_tokenizer([PIECE, PIECE[:, :3]]), "the pieces have 3 or 4 voices"),
        (lambda _: MusicTokenizer(()), "has no voices"),
        (lambda _: MusicTokenizer(((60, 60),)), "voice 0 knows the pitches 60, 60, expected each"),
        (lambda _: MusicTokenizer(((128,),)), "voice 0 knows the pitches 128"),
        (lambda _: music_tokenizer_of({"kind": "words"}), "this is no tokenizer of music"),
        (lambda _: music_tokenizer_of({"kind": "music", "pitches": [["C"]]}), "of music, expected"),
        (lambda at: read_tokenizer(at / "tokenizer.json"), "is a tokenizer of music, expected one"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, attempt: Callable, said):
    (tmp_path / "a.abc").write_text("X: 1\nK:C\nCDE|\n")
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(SMALL))
    if "midi" in str(attempt.__code__.co_names):
        pytest.importorskip("pretty_midi")
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        attempt(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_library_is_said(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pretty_midi", None)
    with pytest.raises(UsageError, match=re.escape("pip install -e '.[music]'")):
        read_midi(tmp_path / "a.mid")
