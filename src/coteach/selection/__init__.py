"""Which items to learn from."""
