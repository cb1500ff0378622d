"""Experiments: one script per question, run as `python -m experiments.<subject>.<name>`."""

import sys

from dl_jax.memory import restart_with_fast_memory
from dl_jax.signals import end_on_signals

if sys.argv[:1] == ["-m"]:  # Python is starting a module of this package, and has not yet found it
    end_on_signals()
    restart_with_fast_memory("experiments.")
