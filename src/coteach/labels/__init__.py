"""Numbers about labels: votes, confidence, noise. NumPy and SciPy only."""
