"""Sequences out of a trained network: what generates has a `Stepper`, and this needs no more."""

from dl_jax.decoding.generate import generate
from dl_jax.decoding.strategies import Strategy, greedy, sample

__all__ = ["Strategy", "generate", "greedy", "sample"]
