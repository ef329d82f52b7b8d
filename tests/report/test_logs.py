"""Logs joined over the sessions of a run."""

import math

from coteach.report.logs import read_log


def write_log(folder, version, text):
    path = folder / "logs" / f"version_{version}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_a_resumed_run_is_one_log(tmp_path):
    # Killed after epoch 1 had been logged but before its checkpoint: the second session trains epoch 1 again.
    write_log(
        tmp_path,
        2,
        "epoch,step,train/loss_step,train/loss_epoch,val/loss\n"
        "0,9,1.1,,\n"
        "0,9,,1.0,\n"
        "0,9,,,2.0\n"
        "1,19,,0.9,\n"
        "1,19,,,1.9\n",
    )
    write_log(
        tmp_path, 10, "epoch,step,train/loss_epoch,val/loss\n1,19,0.8,\n1,19,,1.8\n2,29,0.7,\n2,29,,1.7\n"
    )
    log = read_log(tmp_path)
    assert log.points("train/loss_epoch") == [(1, 1.0), (2, 0.8), (3, 0.7)]
    assert log.points("val/loss") == [(1, 2.0), (2, 1.8), (3, 1.7)]
    assert log.num_epochs == 3
    assert "train/loss_step" not in log.figures


def test_what_is_no_number_is_left_out(tmp_path):
    write_log(tmp_path, 0, "epoch,step,val/loss,val/mIoU\n0,9,nan,0.5\n1,19,inf,0.25\n2,29,0.1,\n3,3")
    log = read_log(tmp_path)
    assert log.points("val/loss") == [(3, 0.1)]
    assert log.points("val/mIoU") == [(1, 0.5), (2, 0.25)]


def test_a_run_without_logs_has_no_figures(tmp_path):
    log = read_log(tmp_path)
    assert log.points("val/loss") == []
    assert log.num_epochs == 0


def test_ratio_of_epoch_means(tmp_path):
    write_log(tmp_path, 0, "epoch,step,part,whole\n0,1,0.25,0.5\n1,2,0.1,0\n2,3,0.3,0.4\n")
    [(first, a), (third, b)] = read_log(tmp_path).ratio("part", "whole")  # none where the whole is 0
    assert (first, third) == (1, 3)
    assert math.isclose(a, 0.5)
    assert math.isclose(b, 0.75)
