"""Music: pieces of several voices from files or a grammar, as tokens; tunes as texts."""

from dl_jax.data.music.abc_tunes import read_tunes
from dl_jax.data.music.chorales import read_chorales
from dl_jax.data.music.counterpoint import counterpoint
from dl_jax.data.music.load import Music, load_music
from dl_jax.data.music.midi import read_midi, write_midi
from dl_jax.data.music.music_data import MusicData
from dl_jax.data.music.piece import Piece
from dl_jax.data.music.tokenizer import (
    MusicTokenizer,
    fit_music_tokenizer,
    music_tokenizer_of,
    read_music_tokenizer,
)

__all__ = [
    "Music",
    "MusicData",
    "MusicTokenizer",
    "Piece",
    "counterpoint",
    "fit_music_tokenizer",
    "load_music",
    "music_tokenizer_of",
    "read_chorales",
    "read_midi",
    "read_music_tokenizer",
    "read_tunes",
    "write_midi",
]
