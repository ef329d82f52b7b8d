"""``coteach audit`` from training to the page."""

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import coteach
from coteach.cli.main import main
from coteach.errors import InputError
from coteach.methods.co_teaching import CoTeaching, CoTeachingConfig
from coteach.models import SmallMobileNet
from coteach.training.history import LabelHistory
from coteach.training.history_recording import HISTORY_FILE, write_history
from coteach.training.out_of_fold import OutOfFold
from coteach.types import Batch

CONFIG = """
method: {name: co_teaching}
num_classes: 2
class_names: [dark, bright]
model: {_target_: coteach.models.SmallMobileNet, num_classes: 2, in_channels: 1}
optimizer: {_target_: torch.optim.AdamW, lr: 1e-2}
train_dataset: {_target_: coteach.ImageTableDataset, input_csv_path: train.csv, class_names: [dark, bright]}
output_dir: run
"""
WRONG = {4, 17, 30}


def outcome(*args):
    with pytest.raises(SystemExit) as left:
        main([*map(str, args)])
    return left.value.code


def write_pictures(folder):
    """Sixty dark or bright images, three of them called the other; what they are called, and what they are."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2
    given = truth.copy()
    given[list(WRONG)] ^= 1
    lines = ["path,label"]
    for i in range(60):
        grey = rng.integers(0, 90, (8, 8)) + 150 * truth[i]
        Image.fromarray(grey.astype(np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{('dark', 'bright')[given[i]]}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    return given, truth


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A run on the pictures, whose networks knew them apart."""
    folder = tmp_path / "audited"
    given, truth = write_pictures(folder)
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text(CONFIG)
    rng = np.random.default_rng(1)
    labels = torch.from_numpy(given)
    history = LabelHistory(("a", "b"), 60, 2)
    for epoch in range(3):
        for name in "ab":
            scores = torch.from_numpy(
                np.where(truth[:, None] == [0, 1], 2.0, -2.0) + rng.normal(size=(60, 2))
            )
            history.see(name, Batch(torch.arange(60), (None,), (labels,)), scores, epoch)
    write_history(folder / "run" / HISTORY_FILE, history.networks, history.values)
    monkeypatch.chdir(folder)
    return folder


def train_on_pictures(folder, monkeypatch, *, epochs, loader="batch_size: 6", more="accelerator: cpu"):
    """A run ``run`` of the command in ``folder``, which becomes the working directory."""
    write_pictures(folder)
    monkeypatch.chdir(folder)
    settings = f"trainer: {{max_epochs: {epochs}, {more}}}\ndata_loader: {{{loader}}}\nseed: 1\n"
    (folder / "conf.yaml").write_text(CONFIG + settings)
    assert outcome("train", "conf.yaml", "--quiet") == 0


@pytest.mark.usefixtures("trained")
def test_the_wrong_labels_come_first(tmp_path, capsys):
    assert outcome("audit", "run", "--output", tmp_path / "out", "--top", "5") == 0
    assert "are probably wrong" in capsys.readouterr().out
    with (tmp_path / "out" / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 60
    assert {int(row["id"]) for row in rows[:3]} == WRONG
    for row in rows[:3]:
        assert row["suggested"] == ("dark", "bright")[int(row["id"]) % 2] != row["given"]
        assert row["path"].endswith(f"{row['id']}.png")
        assert 0 <= float(row["agreement"]) <= 1
    page = (tmp_path / "out" / "audit.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    figures = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert figures["labels"] == 60
    assert figures["noise_rate"] == pytest.approx(0.05, abs=0.03)
    assert np.sum(figures["true_by_given"]) == pytest.approx(60)


@pytest.mark.usefixtures("trained")
def test_the_page_tells_the_command_as_it_was_given(monkeypatch):
    given = ["audit", "run", "--top", "2", "--output", "the wrong ones"]
    monkeypatch.setattr("sys.argv", ["/usr/bin/coteach", *given])
    assert outcome(*given) == 0
    page = Path("the wrong ones/audit.html").read_text()
    assert "<code>coteach audit run --top 2 --output &#39;the wrong ones&#39;</code>" in page


def test_a_folder_that_cannot_be_written_is_told_before_folds_are_trained(trained, capsys):
    (trained / "file").write_text("")
    before = sorted(trained.rglob("*"))
    assert outcome("audit", "run", "--output", "file/out", "--folds", "2") == 1
    error = capsys.readouterr().err
    assert "--output-dir file/out: file" in error
    assert "cannot be written (Not a directory); choose a place that can be written" in error
    assert sorted(trained.rglob("*")) == before


def test_the_same_from_python_and_beside_the_run_by_default(trained):
    assert outcome("audit", "run", "--quiet") == 0
    with (trained / "run" / "audit" / "labels.csv").open(newline="") as stream:
        ids = [int(row["id"]) for row in csv.DictReader(stream)]
    assert coteach.audit("run").ranked().tolist() == ids


def test_a_table_that_was_corrected_by_hand_is_not_replaced(trained, capsys):
    table = trained / "run" / "audit" / "labels.csv"
    assert outcome("audit", "run") == 0
    assert outcome("audit", "run", "--top", "3") == 0  # as it was written
    corrected = table.read_text().replace("dark", "bright", 1)
    table.write_text(corrected)
    page = (trained / "run" / "audit" / "audit.html").read_bytes()
    capsys.readouterr()
    assert outcome("audit", "run", "--top", "4") == 1
    assert (
        "labels.csv: is not as the last audit wrote it, and would be replaced; move it if it was corrected"
        in capsys.readouterr().err
    )
    assert table.read_text() == corrected
    assert (trained / "run" / "audit" / "audit.html").read_bytes() == page
    assert outcome("audit", "run", "--output", "elsewhere") == 0
    table.rename(trained / "reviewed.csv")
    assert outcome("audit", "run") == 0


@pytest.mark.parametrize("summary", [None, "[]", "{", "{}"])
def test_a_table_of_which_nobody_knows_is_not_replaced(trained, summary):
    folder = trained / "run" / "audit"
    assert outcome("audit", "run") == 0
    (folder / "audit.json").unlink()
    if summary is not None:
        (folder / "audit.json").write_text(summary)
    assert outcome("audit", "run") == 1


@pytest.mark.parametrize("killed", ["write_text", "np.savez_compressed"])
def test_an_audit_that_is_killed_while_it_writes_can_be_asked_again(trained, monkeypatch, killed):
    """What was there is whole, and known, though the next audit says something else."""
    folder = trained / "run" / "audit"
    assert outcome("audit", "run") == 0
    before = [(folder / name).read_bytes() for name in ("labels.csv", "labels.npz")]
    with np.load(trained / "run" / HISTORY_FILE) as file:
        history = dict(file)
    history["loss"] = history["loss"][:, ::-1]
    np.savez(trained / "run" / HISTORY_FILE, **history)

    def fail(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"coteach.cli.audit_tables.{killed}", fail)
        assert outcome("audit", "run") == 1
    after = [(folder / name).read_bytes() for name in ("labels.csv", "labels.npz")]
    assert after[1] == before[1]
    assert (after[0] == before[0]) is (killed == "write_text")
    assert outcome("audit", "run") == 0
    assert (folder / "labels.csv").read_bytes() != before[0]


def test_what_is_corrected_while_folds_train_is_kept(trained, monkeypatch, capsys):
    table = trained / "run" / "audit" / "labels.csv"
    (trained / "run" / "config.yaml").write_text(CONFIG + "seed: 1\n")
    assert outcome("audit", "run") == 0
    as_written = table.read_text()

    def correct(*_args, **_options):
        table.write_text(table.read_text().replace("dark", "bright", 1))
        return OutOfFold(np.full((60, 2), 0.5, np.float32), np.zeros(60, np.int64), np.zeros(60, np.int64))

    monkeypatch.setattr("coteach.training.out_of_fold.predict_out_of_fold", correct)
    assert outcome("audit", "run", "--folds", "2") == 1
    assert "is not as the last audit wrote it" in capsys.readouterr().err
    assert table.read_text().count("dark") == as_written.count("dark") - 1


def test_labels_that_no_network_saw_are_not_lost(tmp_path, monkeypatch):
    """Batches of 7 of 60 images, the last one dropped: four images are not seen in the only epoch."""
    train_on_pictures(tmp_path / "real", monkeypatch, epochs=1, loader="batch_size: 7, drop_last: true")
    assert outcome("audit", "run") == 0
    names = ["dark", "bright"]
    first = coteach.ImageTableDataset("train.csv", class_names=names)
    labels = dict(zip(map(str, first.paths), first.labels.hard().tolist(), strict=True))
    again = coteach.ImageTableDataset("run/audit/labels.csv", label_key="given", class_names=names)
    assert {
        str(path.relative_to(tmp_path / "real")): code
        for path, code in zip(again.paths, again.labels.hard(), strict=True)
    } == labels
    with Path("run/audit/labels.csv").open(newline="") as stream:
        unseen = [row for row in csv.DictReader(stream) if not row["p_wrong"]]
    assert len(unseen) == 4
    for row in unseen:
        assert row["suggested"] == row["given"]
        assert not row["alternative"]


@pytest.mark.parametrize("names", [True, False])
def test_what_the_audit_suggests_can_be_trained_on(trained, names):
    """By name or by number, as the training set has them; from the table, and from the arrays."""
    if not names:
        table = trained / "train.csv"
        table.write_text(table.read_text().replace("bright", "1").replace("dark", "0"))
        (trained / "run" / "config.yaml").write_text(CONFIG.replace(", class_names: [dark, bright]}", "}"))
    truth = np.arange(60) % 2
    assert outcome("audit", "run", "--quiet") == 0
    found = trained / "run" / "audit"
    data = coteach.ImageTableDataset(
        found / "labels.csv", label_key="suggested", class_names=["dark", "bright"] if names else None
    )
    assert data.labels.hard().tolist() == [int(path.stem) % 2 for path in data.paths]
    with np.load(found / "labels.npz") as arrays:
        assert arrays["suggested"].tolist() == truth.tolist()
        assert set(np.flatnonzero(arrays["given"] != truth).tolist()) == WRONG


def test_arrays_of_which_a_part_is_used_get_labels_for_all(trained):
    given = np.arange(60) % 2
    given[list(WRONG)] ^= 1
    np.savez(
        "train.npz",
        images=np.zeros((90, 8, 8), np.uint8),
        labels=np.concatenate([np.zeros(10, np.int64), given, np.ones(20, np.int64)]),
    )
    part = "{_target_: coteach.ArrayDataset, images: train.npz, start: 10, stop: 70}"
    config = re.sub("(?<=train_dataset: ).*", part, CONFIG)
    (trained / "run" / "config.yaml").write_text(config)
    assert outcome("audit", "run") == 0
    data = coteach.ArrayDataset(
        "train.npz", "run/audit/labels.npz", labels_key="suggested", start=10, stop=70
    )
    assert data.labels.hard().tolist() == (np.arange(60) % 2).tolist()
    with np.load("run/audit/labels.npz") as arrays:
        for name in ("given", "suggested", "alternative"):
            assert (arrays[name][:10] == -1).all()
            assert (arrays[name][70:] == -1).all()
        assert np.isfinite(arrays["p_wrong"]).sum() == 60


def test_a_run_that_has_not_ended_is_told(tmp_path, monkeypatch, capsys):
    train_on_pictures(tmp_path / "real", monkeypatch, epochs=2)
    assert outcome("audit", "run") == 0
    assert "has not ended" not in capsys.readouterr().err
    Path("run", HISTORY_FILE).unlink()  # its last checkpoint holds as much
    assert outcome("audit", "run") == 0
    told = "run has no label_history.npz, as of a run that has not ended: judged by its last checkpoint, of epoch 2"
    assert told in capsys.readouterr().err


def test_ctrl_c_in_a_fold_is_told(trained, monkeypatch, capsys):
    def pressed(*_args, **_options):
        raise KeyboardInterrupt

    (trained / "run" / "config.yaml").write_text(CONFIG + "seed: 1\n")
    monkeypatch.setattr("coteach.training.out_of_fold.predict_out_of_fold", pressed)
    assert outcome("audit", "run", "--folds", "2") == 1
    error = capsys.readouterr().err
    assert "run/audit: stopped by Ctrl-C; the same command goes on with the fold" in error
    assert not (trained / "run" / "audit" / "labels.csv").exists()


def test_a_picture_that_is_gone_is_no_failure(trained):
    (trained / "17.png").unlink()
    assert outcome("audit", "run") == 0
    assert "No picture" in (trained / "run" / "audit" / "audit.html").read_text()


def test_other_data_is_refused(trained, capsys):
    table = trained / "train.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    assert outcome("audit", "run") == 1
    assert "has 59 images, the history of run has 60" in capsys.readouterr().err


def test_rows_in_another_order_are_refused(trained, capsys):
    """As where images were moved to the class folders that the last audit suggested: as many, but other ones."""
    table = trained / "train.csv"
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert outcome("audit", "run") == 1
    error = capsys.readouterr().err
    assert re.search(r"of 60 labels \d+ are not those in the history of run: .*59\.png", error)
    assert "restore the data that the run was trained on, or train again" in error
    assert not (trained / "run" / "audit").exists()


def test_images_that_were_exchanged_are_told(tmp_path, monkeypatch, capsys):
    train_on_pictures(tmp_path / "real", monkeypatch, epochs=1)
    assert outcome("audit", "run") == 0
    assert "exchanged" not in capsys.readouterr().err
    os.utime(tmp_path / "real" / "3.png", (0, 0))
    assert outcome("audit", "run") == 0
    assert "names, sizes or times of the images are not those when run was trained" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["audit"], ["evaluate", "--dataset", "train_dataset", "--checkpoint", "last"]]
)
def test_data_that_were_moved_are_found_again(tmp_path, monkeypatch, capsys, command):
    train_on_pictures(tmp_path / "real", monkeypatch, epochs=1)
    run = (tmp_path / "real" / "run").rename(tmp_path / "run")
    (tmp_path / "real").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    config = run / "config.yaml"
    before = f"{tmp_path / 'real' / 'train.csv'}"
    assert outcome(*command, "run") == 1
    said = f"Error: run/config.yaml: train_dataset.input_csv_path: {before} does not exist; if it was moved, write"
    assert said in capsys.readouterr().err
    config.write_text(config.read_text().replace(before, "moved/train.csv"))
    assert outcome(*command, "run") == 0


def test_a_folder_that_is_no_run_is_named(tmp_path, capsys):
    for folder in (tmp_path / "nowhere", tmp_path):
        for more in ([], ["--folds", 2]):
            assert outcome("audit", folder, *more) == 1
            error = capsys.readouterr().err
            assert f"{folder.name}: is no run: it has no config.yaml; give a folder of coteach train" in error


def test_from_training_to_the_audit(tmp_path, monkeypatch, capsys):
    train_on_pictures(tmp_path / "real", monkeypatch, epochs=6)
    assert outcome("audit", "run", "--output-dir", "found") == 0
    assert "of 60 labels are probably wrong" in capsys.readouterr().out
    with (tmp_path / "real" / "found" / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {int(row["id"]) for row in rows[:3]} == WRONG
    for row in rows[:3]:
        assert row["given"] != row["suggested"] == ("dark", "bright")[int(row["id"]) % 2]
        assert float(row["p_wrong"]) > float(rows[3]["p_wrong"])
    assert (tmp_path / "real" / "found" / "audit.html").read_text().count("data:image/png;base64,") == 60

    # out of fold, by the run's own configuration; asked again, the folds are found trained
    assert outcome("audit", "run", "--folds", "2") == 0
    with np.load("run/audit/2_folds/out_of_fold.npz") as file:
        probs, fold = file["probs"], file["fold"]
    assert probs.shape == (60, 2)
    assert np.bincount(fold).tolist() == [30, 30]
    weights = [Path(f"run/audit/2_folds/fold_{k}/checkpoints/last.ckpt") for k in range(2)]
    written = [file.stat().st_mtime_ns for file in weights]
    page = Path("run/audit/audit.html").read_text()
    assert "2 folds" in page
    assert json.loads(Path("run/audit/audit.json").read_text())["folds"] == 2
    with Path("run/audit/labels.csv").open(newline="") as stream:
        ids = [int(row["id"]) for row in csv.DictReader(stream)]
    assert ids == coteach.audit("run", out_of_fold=probs).ranked().tolist()
    assert set(ids[:3]) == WRONG
    assert outcome("audit", "run", "--folds", "2") == 0
    assert [file.stat().st_mtime_ns for file in weights] == written
    assert Path("run/audit/audit.html").read_text() == page
    with pytest.raises(InputError, match="out_of_fold"):
        coteach.audit("run", out_of_fold=probs[:-1])


def test_a_run_that_recorded_nothing_is_judged_by_folds_alone(tmp_path, monkeypatch, capsys):
    train_on_pictures(tmp_path / "real", monkeypatch, epochs=6, more="record_history: false")
    assert outcome("audit", "run") == 1
    assert "run: has recorded no history of its labels; train on images" in capsys.readouterr().err
    assert not Path("run/audit").exists()
    assert outcome("audit", "run", "--folds", "2") == 0
    assert "run has recorded no history of its labels: judged by the folds alone" in capsys.readouterr().err
    with np.load("run/audit/2_folds/out_of_fold.npz") as file:
        alone = coteach.audit(file["probs"], file["labels"])
    with Path("run/audit/labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["id"]) for row in rows] == alone.ranked().tolist()
    assert {int(row["id"]) for row in rows[:3]} == WRONG
    assert [row["loss"] for row in rows] == [""] * 60
    page = Path("run/audit/audit.html").read_text()
    assert "trained 2 times as the run was" in page
    assert "nan" not in page.lower()
    train_again = ("train", "conf.yaml", "train_dataset.input_csv_path=run/audit/labels.csv")
    assert outcome(*train_again, "train_dataset.label_key=suggested", "output_dir=again", "--quiet") == 0


def test_from_fit_to_the_audit(tmp_path):
    given, truth = write_pictures(tmp_path / "pictures")
    files = [tmp_path / "pictures" / f"{i}.png" for i in range(60)]
    images = torch.tensor(np.stack([np.array(Image.open(file)) for file in files]))[:, None].float() / 255
    labels = torch.from_numpy(given)

    def fitted(output_dir):
        return coteach.fit(
            lambda: SmallMobileNet(num_classes=2, in_channels=1),
            (images, labels),
            method=CoTeaching(CoTeachingConfig(e_warm=2)),
            epochs=6,
            batch_size=6,
            lr=1e-2,
            output_dir=output_dir,
            progress=False,
        )

    found = coteach.audit(fitted(tmp_path / "run"))
    assert found.given.tolist() == given.tolist()
    assert set(found.ranked()[:3].tolist()) == WRONG
    assert found.suggested[sorted(WRONG)].tolist() == truth[sorted(WRONG)].tolist()
    with pytest.raises(InputError, match=r"give coteach.fit an output_dir"):
        coteach.audit(fitted(None))


@pytest.mark.parametrize("option", [("--lulc-key", "a_path"), ("--window", "64"), ("--legend", "a=b.csv")])
def test_options_of_label_maps_are_refused_for_images(tmp_path, option, capsys):
    assert outcome("audit", tmp_path, *option) == 1
    assert f"{option[0]}: is for label maps; add --sources" in capsys.readouterr().err


def test_folds_are_of_images(tmp_path, capsys):
    assert outcome("audit", tmp_path, "--folds", "3", "--sources", tmp_path / "sources.csv") == 1
    assert "--folds: is for images" in capsys.readouterr().err
