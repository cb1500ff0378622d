"""Speed against PyTorch, both in one run on one machine, as ratios of medians."""
