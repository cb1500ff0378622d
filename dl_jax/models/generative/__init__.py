"""Networks that make examples, those that judge them, and those that take examples apart."""
