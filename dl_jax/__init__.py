"""Deep learning from scratch on JAX: pure functions, composed."""

__version__ = "0.1.0"
