"""Experiments on texts and series with recurrent networks."""
