"""Convolution of images, its transpose, and the ways in which they are computed on CPU."""
