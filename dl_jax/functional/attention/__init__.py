"""Attention, its masks, positions and caches."""
