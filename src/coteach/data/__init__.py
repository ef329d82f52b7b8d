"""Data sets, splits and sample data."""
