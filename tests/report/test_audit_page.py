"""The audit's table and page."""

import csv
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from noisy_scores import learned_all_labels

import coteach
from coteach.errors import InputError
from coteach.labels.quality import JudgedLabels
from coteach.report.audit import audit, audit_history
from coteach.report.audit_page import AuditPage, Suspect, confusions, render_audit, suspect
from coteach.report.label_audit import LabelAudit

NAMES = ["cat", "<dog>"]


def toy_history():
    """Two networks, four epochs, twenty items; item 3 is a cat called a dog, item 19 has no label."""
    label = np.array([0] * 10 + [1] * 9 + [-1])
    truth = label.copy()
    label[3] = 1
    right = np.where(truth[:, None] == [0, 1], 0.9, 0.1)
    loss = np.where(label >= 0, -np.log(right[np.arange(20), label]), 0)
    return {
        "networks": np.array(["a", "b"]),
        "weight": np.full((2, 20), 4.0, np.float32),
        "probs": np.stack([4 * right, 4 * right]).astype(np.float32),
        "loss": 4 * np.stack([0.5 * loss, 1.5 * loss]).astype(np.float32),
        "margin": np.stack([np.arange(20), -np.arange(20)]).astype(np.float32),
        "forgotten": np.stack([np.zeros(20), np.arange(20)]).astype(np.int32),
        "label": label.astype(np.int32),
        "agreed": np.full(20, 3),
        "compared": np.full(20, 4),
    }


def test_the_table_holds_means_over_epochs_and_networks():
    found = audit_history(toy_history())
    rows = list(csv.DictReader(found.table(NAMES, {3: "three.png"}).splitlines()))
    assert len(rows) == 20
    assert rows.pop() == dict.fromkeys(rows[0], "") | {"id": "19"}
    first = rows[0]
    assert float(first.pop("p_wrong")) > 0.5
    assert first == {
        "id": "3",
        "path": "three.png",
        "given": "<dog>",
        "suggested": "cat",
        "alternative": "cat",
        "loss": "2.30259",  # of a probability of 0.1
        "margin": "0",
        "forgetting": "1.5",
        "agreement": "0.75",
    }
    assert [(row["suggested"], row["alternative"]) for row in rows if row["id"] == "4"] == [("cat", "<dog>")]
    said = [float(row["p_wrong"]) for row in rows[1:]]
    assert said == sorted(said, reverse=True)
    assert max(said) < 0.2
    assert found.noise_rate == pytest.approx(1 / 19, abs=0.05)


def test_an_item_that_no_network_saw_has_no_figures():
    history = toy_history()
    history["weight"][:, 5] = history["probs"][:, 5] = 0
    history["weight"][0, 6] = history["probs"][0, 6] = (
        0  # one network saw it, and went to another class six times
    )
    history["compared"][5] = 0
    found = audit_history(history)
    assert np.isnan([found.p_wrong[5], found.loss[5], found.forgetting[5], found.agreement[5]]).all()
    assert 5 not in found.ranked()
    last = found.rows(NAMES)[-2:]  # with a label, and without
    assert [(row["id"], row["given"], row["suggested"], row["p_wrong"]) for row in last] == [
        ("5", "cat", "cat", ""),
        ("19", "", "", ""),
    ]
    assert found.forgetting[6] == 6


def test_the_alternative_is_the_most_probable_other_class():
    """By hand: of the labels 0, 1, 2 and 0 the second is more probably a 0; of the last no other class is probable at all."""
    posterior = np.array(
        [[0.6, 0.1, 0.3], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [1, 0, 0], [np.nan] * 3], np.float32
    )
    nothing = np.full(5, np.nan)
    quality = JudgedLabels(
        p_wrong=np.array([0.4, 0.8, 0.2, 0, np.nan]),
        suggested=np.array([0, 0, 2, 0, -1]),
        posterior=posterior,
        transition=np.eye(3),
        joint=np.eye(3),
    )
    found = LabelAudit(np.array([0, 1, 2, 0, -1]), quality, nothing, nothing, nothing, nothing, 1.0)
    assert found.alternative.tolist() == [2, 0, 0, 1, -1]
    assert posterior[0].tolist() == np.float32([0.6, 0.1, 0.3]).tolist()  # nothing of it was changed


def test_what_is_wrong_is_named_though_the_networks_learned_the_noise():
    """Networks that learned all labels, but none by heart, say how often each is given: that explains it without noise."""
    probs, labels, truth = learned_all_labels(1.0)
    found = audit(probs, labels)
    worst = found.ranked()[:1000]
    assert (labels[worst] != truth[worst]).mean() > 0.95
    assert (found.alternative[worst] == truth[worst]).mean() > 0.8
    assert (found.suggested[worst] == labels[worst]).mean() > 0.5  # which names nothing


def means_of(history):
    """Of its first network."""
    sums = history["probs"][0].astype(float)
    return sums / sums.sum(1, keepdims=True)


def test_probabilities_from_anywhere():
    history = toy_history()
    probs, labels = means_of(history), history["label"].astype(np.int64)
    found = coteach.audit(probs, labels)
    # what never changes over the epochs has one mean: both readings of the history are these probabilities
    np.testing.assert_allclose(found.p_wrong, audit_history(history).p_wrong, rtol=1e-4)
    assert found.rows(NAMES)[0]["loss"] == ""


@pytest.mark.parametrize(
    "form",
    [
        torch.as_tensor,
        lambda values: torch.as_tensor(values, dtype=torch.float64, device="cpu").requires_grad_(),
        list,
    ],
    ids=["tensors", "tensors with gradients", "lists"],
)
def test_probabilities_and_labels_in_any_form(form):
    history = toy_history()
    probs, labels = means_of(history), history["label"]
    expected = coteach.audit(probs, labels)
    for given in (labels.tolist(), torch.as_tensor(labels), labels.astype(np.int8)):
        found = coteach.audit(form(probs.tolist()), given)
        assert found.given.tolist() == labels.tolist()
        np.testing.assert_array_equal(found.p_wrong, expected.p_wrong)


def test_tensors_of_16_bits_are_taken():
    """0.75 and 0.25 are exact in bfloat16, a type that NumPy does not have."""
    probs = torch.tensor([[0.75, 0.25]] * 20 + [[0.25, 0.75]] * 20)
    labels = torch.arange(40) // 20
    found = audit(probs.bfloat16(), labels)
    np.testing.assert_array_equal(found.p_wrong, audit(probs, labels).p_wrong)


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (None, [0, 1], "source: is no array of numbers, but NoneType"),
        (np.ones(2), [0, 1], r"source: are float64 of shape \(2,\); give class probabilities \(N, C\)"),
        ([["a", "b"]], [0], "source: are <U1 of shape"),
        ([[0.5, 0.5], [1.0]], [0, 1], "source: have rows of unequal length"),
        (np.full((2, 2), 0.5), [0.0, 1.0], r"labels: are float64 of shape \(2,\); give integer classes"),
        (np.full((2, 2), 0.5), torch.zeros(2, 2, dtype=torch.long), "labels: are int64 of shape"),
        (np.full((2, 2), 0.5), "labels.csv", "labels: are <U10 of shape"),
        (np.full((3, 2), 0.5), [1, -1, 1], "labels: hold only class 1; give labels of two classes at least"),
        (
            [[0.5, 0.5], [0.0, 0.0], [0.2, 0.8], [6.0, 1.0]],
            [0, 0, 1, 1],
            "source: item 3 sums to 7, others to 1; give probabilities; of scores, their softmax",
        ),
        (np.log(np.full((2, 2), 0.5)), [0, 1], "source: item 0 holds -0.693; give probabilities"),
        ([[3, 1], [2, -1]], [0, 1], "source: item 1 holds -1; give probabilities"),
        ([[3, np.inf], [2, 1]], [0, 1], "source: item 0 holds inf; give probabilities"),
    ],
)
def test_what_is_no_probabilities_or_labels_is_said(probs, labels, message):
    with pytest.raises(InputError, match=message):
        audit(probs, labels)


def test_votes_and_rounded_probabilities_are_scaled():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(40, 0.2), 200)
    labels = probs.argmax(1)
    votes = np.round(probs * rng.integers(3, 30, 200)[:, None]).astype(int)
    votes[np.arange(200), labels] += 1
    for given in (np.round(probs, 2), votes, votes.astype(np.float16)):
        scaled = given / given.sum(1, keepdims=True, dtype=float)
        np.testing.assert_allclose(audit(given, labels).p_wrong, audit(scaled, labels).p_wrong, atol=1e-9)


def test_labels_go_with_probabilities_only(tmp_path):
    with pytest.raises(InputError, match="are missing"):
        audit(np.full((2, 2), 0.5))
    with pytest.raises(InputError, match="beside a run"):
        audit(tmp_path, np.array([0, 1]))


def test_confusions_are_the_pairs_off_the_diagonal():
    found = confusions(np.array([[8.0, 2.0], [0.4, 9.6]]), NAMES)
    assert [(one.true, one.given, one.count, one.share) for one in found] == [("cat", "<dog>", 2.0, 0.2)]


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.sources, self.crossed_out, self.styled = [], "", [], [], None

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.styled = dict(attributes).get("class")
        self.sources += [value for key, value in attributes if key == "src"]

    def handle_data(self, data):
        self.text += " " + data
        if self.styled == "said":
            self.crossed_out.append(data)
        self.styled = None


def page_of(**changes):
    found = audit_history(toy_history())
    image = np.linspace(0, 1, 3 * 16, dtype=np.float32).reshape(3, 4, 4)
    fields = {
        "title": "Labels of <run>",
        "audit": found,
        "names": NAMES,
        "suspects": [suspect(3, image, "a<b>.png"), Suspect(4, "gone.png", "", "cannot be read")],
        "facts": [("labels", "19")],
        "table": "labels.csv",
        "command": "coteach audit",
    }
    reader = Reader()
    reader.feed(render_audit(AuditPage(**(fields | changes))))
    return reader


def test_the_page_holds_its_pictures_and_escapes_names():
    page = page_of()
    assert "dog" not in page.tags
    assert len(page.sources) == 1
    assert page.sources[0].startswith("data:image/png;base64,")
    assert "script" not in page.tags
    for text in ("<dog>", "a<b>.png", "Labels of <run>", "No picture: cannot be read", "All pairs"):
        assert text in page.text


def test_only_labels_are_crossed_out_that_another_class_is_more_probable_than():
    """Item 3 is a cat called a dog; 4 is a cat and called one."""
    page = page_of()
    assert page.crossed_out == ["<dog>"]
    words = page.text.split()
    assert words[words.index("<dog>") :][:3] == ["<dog>", "cat", "wrong:"]
    assert " cat or <dog>? " in " ".join(words)


def test_folds_are_told():
    assert "trained 4 times more" in page_of(folds=4).text
    assert "times more" not in page_of().text


def test_many_classes_are_told_by_pairs_only():
    names = [f"class {c}" for c in range(30)]
    labels = np.arange(300) % 30
    probs = 0.01 + 0.69 * (np.eye(30)[labels] + 0.0)
    found = coteach.audit(probs, labels)
    assert "All pairs" not in page_of(audit=found, names=names, suspects=[]).text


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
@pytest.mark.parametrize("scale", [1, -40])
def test_thumbnails_of_any_image(bands, scale):
    image = (scale * np.random.default_rng(0).random((bands, 300, 150))).astype(np.float32)
    assert suspect(0, image, "").uri.startswith("data:image/png;base64,")
