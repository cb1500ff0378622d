"""Networks that make examples, and networks that give back what they were given."""
