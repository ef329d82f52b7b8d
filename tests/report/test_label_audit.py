"""What is said of an audit as a whole."""

import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from coteach import audit
from coteach.errors import CoteachWarning


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
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan], [0.7, 0.3]])
    with pytest.warns(CoteachWarning, match="agree with 50%"):
        assert audit(probs, np.array([0, 0, 1, -1])).followed == 0.5


def test_the_documentation_runs():
    page = Path(__file__).parents[2] / "docs" / "audit.md"
    names: dict = {}
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL):
        exec(compile(code, str(page), "exec"), names)
    assert names["outside"].probs.shape == (60, 2)
    assert len(names["found"].given) == 60
