"""A folder is claimed for one kind of work; whoever is dead does not hold it."""

import errno
import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from label_rasters import two_class_tiles

from coteach import build_soft_labels
from coteach.errors import OptionError
from coteach.rasters import claim
from coteach.rasters.claim import claimed

HOLDER = """\
import sys
from pathlib import Path
from coteach.rasters.claim import claimed
with claimed(Path(sys.argv[1]), "out", {"alpha": 0.5}):
    print("held", flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(claim, "_PAUSE", 0)


def refuses(folder, work):
    with pytest.raises(OptionError) as caught, claimed(folder, "out", work):
        pass
    return str(caught.value)


def test_who_does_the_same_joins_and_others_are_refused(tmp_path):
    work = {"alpha": 0.5, "keys": ("a", "b"), "folder": Path("x")}
    with claimed(tmp_path, "out", work):
        with claimed(tmp_path, "out", work):
            told = refuses(tmp_path, work | {"alpha": 0.6, "folder": None})
        # the first one goes on, and so does its claim
        assert refuses(tmp_path, work | {"alpha": 0.6, "folder": None}) == told
    assert told.startswith(f"out: a build that process {os.getpid()} on ")
    assert " began is at work there with other alpha, folder; wait" in told
    assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path, "out", {"alpha": 0.6}):
        pass


def test_a_claim_outlives_the_one_who_made_it_while_others_share_it(tmp_path):
    first, second = claimed(tmp_path, "out", {"alpha": 0.5}), claimed(tmp_path, "out", {"alpha": 0.5})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert "with other alpha" in refuses(tmp_path, {"alpha": 0.6})
    second.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


def test_who_is_killed_holds_nothing(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert f"process {holder.pid} on " in refuses(tmp_path, {"alpha": 0.6})
        holder.kill()
    assert len(list(tmp_path.iterdir())) == 1  # what it wrote is there, its lock is not
    with claimed(tmp_path, "out", {"alpha": 0.6}):
        assert "with other alpha" in refuses(tmp_path, {"alpha": 0.5})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [b"", b'{"process', b"[]", b"\xff"])
def test_what_was_half_written_is_in_nobodys_way(tmp_path, left):
    (tmp_path / "claim.lock").write_bytes(left)
    with claimed(tmp_path, "out", {"alpha": 0.6}):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_locks_refuses_nobody(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with claimed(tmp_path, "out", {"alpha": 0.5}), claimed(tmp_path, "out", {"alpha": 0.6}):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o777])
def test_who_may_write_into_the_folder_may_follow_a_dead_one(tmp_path, mode):
    tmp_path.chmod(mode)
    before = os.umask(0o022)
    try:
        with claimed(tmp_path, "out", {"alpha": 0.5}):
            [file] = tmp_path.iterdir()
            assert file.stat().st_mode & 0o777 == mode & 0o666
    finally:
        os.umask(before)


def test_two_builds_into_one_folder(tmp_path):
    """While a build makes its tiles, one with other options is refused and one with the same is not."""
    table = two_class_tiles(tmp_path / "tiles", count=2, size=20)
    options = {"lulc_keys": ["a_path"], "max_workers": 1}
    out = tmp_path / "out"
    build_soft_labels(table, tmp_path / "alone", 2, **options)
    met = []

    @contextmanager
    def others_come(total, label):
        with pytest.raises(OptionError, match=r"output_dir .*is at work there with other alpha; wait until"):
            build_soft_labels(table, out, 2, alpha=0.2, **options)
        shorter = tmp_path / "shorter.csv"
        shorter.write_text("\n".join(table.read_text().splitlines()[:2]))
        with pytest.raises(OptionError, match="with other table"):
            build_soft_labels(shorter, out, 2, **options)
        met.append(build_soft_labels(table, out, 2, **options).built)
        yield lambda _=1: None

    report = build_soft_labels(table, out, 2, progress=others_come, **options)
    assert met == [("t0", "t1")]
    assert (report.built, report.failures) == ((), ())
    for name in ("p_soft/t1.tif", "w_conf/t0.tif", "soft_label_manifest.csv"):
        assert (out / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert not list(out.rglob("*.lock"))
