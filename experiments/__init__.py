"""Experiments: one script per question, run as `python -m experiments.<subject>.<name>`."""

from dl_jax.huge_pages import restart_with_huge_pages

restart_with_huge_pages("experiments")
