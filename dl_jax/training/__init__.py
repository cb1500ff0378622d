"""Training: the one loop, what it trains with, and predictions of what it trained."""

from dl_jax.training.evaluate import make_evaluate
from dl_jax.training.fit import fit
from dl_jax.training.fit_config import FitConfig
from dl_jax.training.fit_each import fit_each
from dl_jax.training.fitted import Fitted, metric_curve
from dl_jax.training.landscape import loss_plane
from dl_jax.training.predict import predict

__all__ = [
    "FitConfig",
    "Fitted",
    "fit",
    "fit_each",
    "loss_plane",
    "make_evaluate",
    "metric_curve",
    "predict",
]
