"""What a network says that has learned from wrong labels, but not these ones."""

import numpy as np


def noisy_scores(transition, count=3000, seed=0, spread=0.5, unclear=0.1):
    """Items of hidden classes, in equal numbers, and their given labels.

    The network says of each class what its labels say, ``transition[y]``, with noise in the scores; some items lie between
    their own class and another, as far as it is theirs.

    Returns:
        Probabilities ``(n, c)`` float32, given labels ``(n,)`` int64, hidden classes ``(n,)``.
    """
    rng = np.random.default_rng(seed)
    transition = np.asarray(transition, float)
    classes = len(transition)
    truth = np.arange(count) % classes
    given = np.array([rng.choice(classes, p=transition[y]) for y in truth])
    own = np.eye(classes)[truth]
    other = np.eye(classes)[(truth + rng.integers(1, classes, count)) % classes]
    part = np.where(rng.random(count) < unclear, rng.uniform(0.5, 1, count), 1.0)[:, None]
    said = (part * own + (1 - part) * other) @ transition
    scores = np.log(0.97 * said + 0.03 / classes) + spread * rng.standard_normal((count, classes))
    probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return probs.astype(np.float32), given, truth


def symmetric(rate, classes=5):
    """Every wrong label as probable as every other."""
    return (1 - rate) * np.eye(classes) + rate / (classes - 1) * (1 - np.eye(classes))


def pair_flip(rate, classes=5):
    """Wrong labels name the next class."""
    return (1 - rate) * np.eye(classes) + rate * np.roll(np.eye(classes), 1, axis=1)


def chosen(probs, rng):
    """One class a row, by its probabilities: ``(n,)`` int64."""
    return (probs.cumsum(1) < rng.random((len(probs), 1))).sum(1).clip(max=probs.shape[1] - 1)


def learned_all_labels(others, count=4000, classes=8, seed=0):
    """Networks that say how often each label is given: probabilities, labels drawn from them, hidden classes.

    The higher ``others``, the more evenly the wrong labels of an item are spread.
    """
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    probs = rng.beta(2, 2.5, (count, 1)) * rng.dirichlet(np.full(classes, others), count)
    probs[np.arange(count), truth] += 1 - probs.sum(1)
    return probs, chosen(probs, rng), truth
