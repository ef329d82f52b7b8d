"""Out of fold: no network has seen what it judges, and an interrupted audit goes on."""

import numpy as np
import pytest
import torch
from torch import nn

import coteach
from coteach import ArrayDataset, Supervised, fit, out_of_fold
from coteach.errors import ConfigError, InputError, OptionError, TrainingError
from coteach.training.out_of_fold import FILE, check_like, predict_out_of_fold
from coteach.training.run import TrainingRun
from coteach.training.streams import LoaderOptions


class Memory(nn.Module):
    """Learns by heart: one score a class for every image, which are told apart by their first pixel."""

    def __init__(self, size=40):
        super().__init__()
        self.table = nn.Embedding(size, 2)
        nn.init.zeros_(self.table.weight)

    def forward(self, inputs):
        return self.table(inputs[:, 0, 0, 0].round().long())


LABELS = np.arange(40) % 2
NUMBERED = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 6, 6), np.float32)


def folded(factory=Memory, data=(NUMBERED, LABELS), **changes):
    given = {"epochs": 3, "batch_size": 8, "lr": 0.5, "device": "cpu", "seed": 1, "folds": 4} | changes
    return out_of_fold(factory, data, method=Supervised(), **given)


def test_a_network_that_learns_by_heart_knows_nothing_out_of_fold():
    """Had any network seen an image that it judges, its entry of the table would not be what it was at first."""
    found = folded()
    np.testing.assert_array_equal(found.probs, np.full((40, 2), 0.5, np.float32))
    assert found.labels.tolist() == LABELS.tolist()
    assert np.bincount(found.fold).tolist() == [10] * 4
    in_fold = fit(
        Memory, (NUMBERED, LABELS), method=Supervised(), epochs=3, batch_size=8, lr=0.5, device="cpu"
    )
    assert (in_fold.predict(NUMBERED[:, None]).argmax(1) == LABELS).all()  # in fold it does know them all


def test_images_are_put_back_where_they_were():
    """Separable images: every one is recognised, and wrong labels are what the audit finds."""
    noise = np.random.default_rng(0).normal(0, 0.2, (40, 6, 6))
    images = (noise + (2.0 * LABELS - 1)[:, None, None]).astype(np.float32)
    given = LABELS.copy()
    given[[3, 8]] ^= 1
    found = folded(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 2)), (images, given), epochs=8, lr=0.05, folds=5
    )
    assert (found.probs.argmax(1) == LABELS).all()
    assert set(coteach.audit(found.probs, found.labels).ranked()[:2].tolist()) == {3, 8}


def test_folds_whose_batches_cannot_be_learned_from(tmp_path):
    """Of 40 images a fold of 10 leaves 30, which is one more than a batch: no fold is trained, and nothing written."""
    images, labels = np.zeros((40, 6, 6), np.uint8), LABELS

    def refused(**loader):
        run = TrainingRun(
            method=Supervised(),
            make_network=lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 2), nn.BatchNorm1d(2)),
            make_optimizer=torch.optim.Adam,
            datasets={"train": (data := ArrayDataset(images, labels))},
            num_classes=2,
            output_dir=tmp_path,
            loader=LoaderOptions(**loader),
        )
        with pytest.raises(ConfigError) as error:
            predict_out_of_fold(
                data, 4, lambda *_: pytest.fail("trains"), seed=0, folder=tmp_path, check=check_like(run)
            )
        assert not list(tmp_path.iterdir())
        return str(error.value)

    assert "data_loader.batch_size: 29 leaves one of 30 samples over: BatchNorm cannot" in refused(
        batch_size=29
    )
    assert "of train there are 30 samples, a batch has 31" in refused(batch_size=31, drop_last=True)


def test_an_interrupted_one_goes_on_and_ends_the_same(tmp_path):
    built = []

    def factory(dies_at=None):
        def make():
            built.append(1)
            if len(built) == dies_at:
                raise KeyboardInterrupt
            return Memory()

        return make

    whole = folded(factory(), output_dir=tmp_path / "whole")
    per_fold = len(built) // 4
    built.clear()
    with pytest.raises(KeyboardInterrupt):
        folded(factory(2 * per_fold + 1), output_dir=tmp_path / "parts")
    assert not (tmp_path / "parts" / "4_folds" / FILE).exists()
    trained = tmp_path / "parts" / "4_folds" / "fold_1" / "checkpoints" / "last.ckpt"
    kept = trained.stat().st_mtime_ns
    parts = folded(output_dir=tmp_path / "parts")
    assert trained.stat().st_mtime_ns == kept
    np.testing.assert_array_equal(parts.probs, whole.probs)
    with np.load(tmp_path / "parts" / "4_folds" / FILE) as file:
        np.testing.assert_array_equal(file["fold"], whole.fold)
    # another number of folds has its own folder, and leaves this one alone
    assert np.bincount(folded(output_dir=tmp_path / "parts", folds=2, epochs=1).fold).tolist() == [20] * 2
    assert trained.stat().st_mtime_ns == kept
    assert (tmp_path / "parts" / "2_folds" / FILE).is_file()
    other = LABELS.copy()
    other[0] = 1
    with pytest.raises(TrainingError, match="another configuration"):
        folded(data=(NUMBERED, other), output_dir=tmp_path / "parts")


def test_what_cannot_be_folded_is_refused():
    with pytest.raises(InputError, match="TensorDataset"):
        folded(data=torch.utils.data.TensorDataset(torch.zeros(4)))
    with pytest.raises(OptionError, match="1 for 40 images"):
        folded(folds=1)
    lone = np.where(np.arange(40) == 7, 1, 0)
    built = []
    with pytest.raises(InputError, match=r"without fold \d of 4, the labels that are left hold only class 0"):
        folded(lambda: built.append(1) or Memory(), data=(NUMBERED, lone))
    assert not built
    with pytest.raises(InputError, match="its label 2"):
        folded(data=ArrayDataset(NUMBERED, LABELS + 1, num_classes=2))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": "2"}, r"folds: is '2' \(str\); give a whole number"),
        ({"folds": 2.0}, r"folds: is 2.0 \(float\)"),
        ({"seed": 2**63}, r"seed: 9223372036854775808 is outside -2\^63 to 2\^63-1"),
        ({"num_classes": "a"}, r"num_classes: is 'a' \(str\)"),
    ],
)
def test_arguments_of_another_kind_are_told(changes, message):
    with pytest.raises(OptionError, match=message):
        folded(**changes)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"4_folds: cannot be written \(.*\); choose another output_dir"):
        folded(output_dir=tmp_path / "file")
