"""What is said of an audit as a whole."""

import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from coteach import audit
from coteach.errors import CoteachWarning, InputError
from coteach.report.audit import audit_history


def test_networks_that_follow_few_labels_make_the_audit_doubtful():
    """8 of 10 labels, then 3 of 10, are the class with the larger probability."""
    given = np.array([0, 1] * 5)
    right = np.eye(2)[given] * 0.8 + 0.1
    for followed in (8, 3):
        probs = np.concatenate([right[:followed], right[followed:, ::-1]])
        with pytest.warns(CoteachWarning, match="agree with 30%") if followed == 3 else nullcontext():
            found = audit(probs, given)
        assert found.followed == pytest.approx(followed / 10)
        assert bool(found.caution) is (followed == 3)
    assert "agree with 30% of the labels only" in found.caution
    assert found.summary(["a", "b"])["labels_networks_agree_with"] == pytest.approx(0.3)


def test_items_without_a_label_or_probabilities_are_not_counted():
    """A row of zeros would favour class 0."""
    for nothing in (np.nan, 0.0):
        probs = np.array([[0.9, 0.1], [0.8, 0.2], [nothing, nothing], [0.7, 0.3]])
        with pytest.warns(CoteachWarning, match="agree with 50%"):
            found = audit(probs, np.array([0, 1, 0, -1]))
        assert found.followed == 0.5
        assert found.ranked().tolist() == [1, 0]
        with pytest.raises(InputError, match="hold only class 0, of the items that can be judged; give"):
            audit(probs, np.array([0, 0, 1, -1]))


def recorded(probs, labels):
    """The history of one network and one epoch."""
    loss = -np.log(probs[np.arange(len(labels)), labels])
    once, nothing = np.ones((1, len(labels)), np.float32), np.zeros((1, len(labels)), np.int32)
    return {
        "label": labels,
        "weight": once,
        "probs": probs[None],
        "loss": loss[None],
        "margin": -loss[None],
        "forgotten": nothing,
        "agreed": nothing[0],
        "compared": nothing[0],
    }


def test_what_folds_say_is_scaled_and_may_be_missing():
    rng = np.random.default_rng(0)
    truth = np.arange(120) % 3
    probs = rng.dirichlet(np.ones(3), 120) * 0.5 + 0.5 * np.eye(3)[truth]
    labels = np.where(rng.random(120) < 0.2, (truth + 1) % 3, truth)
    votes = rng.multinomial(20, [1 / 3] * 3, 120) + 20 * np.eye(3, dtype=int)[truth]
    shares = votes / 40.0
    expected = audit_history(recorded(probs, labels), shares).p_wrong
    for outside in (100 * shares, votes.astype(float), votes * rng.integers(1, 5, (120, 1)).astype(float)):
        found = audit_history(recorded(probs, labels), outside).p_wrong
        np.testing.assert_allclose(found, expected, atol=1e-9)
    without = [shares.copy(), shares.copy()]
    without[0][:5], without[1][:5] = np.nan, 0.0
    nan, zero = (audit_history(recorded(probs, labels), outside).p_wrong for outside in without)
    np.testing.assert_array_equal(nan, zero)
    assert np.isfinite(nan).all()
    own = shares.copy()
    own[:5] = probs[:5]  # the same is said twice; of the loss, too
    np.testing.assert_allclose(nan, audit_history(recorded(probs, labels), own).p_wrong, atol=0.02)


def test_what_the_run_never_saw_the_folds_judge_alone():
    rng = np.random.default_rng(0)
    truth = np.arange(120) % 3
    probs = rng.dirichlet(np.ones(3), 120) * 0.5 + 0.5 * np.eye(3)[truth]
    labels = np.where(rng.random(120) < 0.2, (truth + 1) % 3, truth)
    history = recorded(probs, labels)
    history["weight"][:, :5] = 0  # as of a run that max_steps ended
    assert np.isnan(audit_history(history).p_wrong[:5]).all()
    found = audit_history(history, np.eye(3)[truth] * 0.8 + 0.2 / 3)
    assert np.isfinite(found.p_wrong).all()
    np.testing.assert_array_equal(found.p_wrong[:5] > 0.5, labels[:5] != truth[:5])


def test_the_documentation_runs():
    page = Path(__file__).parents[2] / "docs" / "audit.md"
    names: dict = {}
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL):
        exec(compile(code, str(page), "exec"), names)
    assert names["outside"].probs.shape == (60, 2)
    assert len(names["found"].given) == 60
