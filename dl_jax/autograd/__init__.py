"""A reverse-mode tape over NumPy arrays, small enough to read at once."""

from dl_jax.autograd.tape import Tensor, no_grad

__all__ = ["Tensor", "no_grad"]
