"""Names from elsewhere."""
