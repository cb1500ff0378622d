"""Transformers of texts, on one set of blocks."""

from dl_jax.models.transformers.encoder import transformer_encoder
from dl_jax.models.transformers.language_model import transformer_lm
from dl_jax.models.transformers.seq2seq import transformer_seq2seq

__all__ = ["transformer_encoder", "transformer_lm", "transformer_seq2seq"]
