"""Networks that this package brings itself."""
