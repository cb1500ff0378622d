"""Sequences out of a trained network: what generates has a `Stepper`, and this needs no more."""

from dl_jax.decoding.beam_search import Beams, beam_search
from dl_jax.decoding.generate import generate, stream
from dl_jax.decoding.strategies import Strategy, greedy, sample

__all__ = ["Beams", "Strategy", "beam_search", "generate", "greedy", "sample", "stream"]
