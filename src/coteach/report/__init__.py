"""Metrics and what people look at after a run."""
