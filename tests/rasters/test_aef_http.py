from __future__ import annotations

import io
import threading
import time

import pytest
from range_server import serving

from coteach.errors import DataUnavailableError
from coteach.rasters.aef.http_file import HttpFile, fetch
from coteach.rasters.aef.jobs import Outcome, run_jobs
from coteach.rasters.aef.retry import ReadFailedError, Retry, StoppedError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    with serving(tmp_path) as served:
        yield served


def test_it_reads_like_a_file_and_fetches_only_that(server):
    file, like = HttpFile(f"{server.url}/file", Retry()), io.BytesIO(CONTENT)
    for offset, whence, count in [(5, 0, 10), (-7, 2, 100), (0, 0, 1), (50, 1, 3), (20000, 0, 5), (-3, 1, 9)]:
        assert file.seek(offset, whence) == like.seek(offset, whence)
        assert file.read(count) == like.read(count)
        assert file.tell() == like.tell()
    assert server.sent() < 50


@pytest.mark.parametrize("fault", [500, 502, 503, 504, 429, 408, "truncated", "reset"])
def test_passing_faults_are_tried_again(server, fault):
    server.faults["/file"] = [fault]
    file = HttpFile(f"{server.url}/file", Retry(delay=0))
    server.faults["/file"] = [fault, fault]
    assert file.read(100) == CONTENT[:100]
    assert server.faults["/file"] == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_refusals_are_not(server, status):
    server.faults["/file"] = [status] * 2
    with pytest.raises(
        DataUnavailableError, match=rf"/file: cannot be read \(HTTP {status} .*check the address"
    ):
        HttpFile(f"{server.url}/file", Retry(delay=0))
    assert len(server.faults["/file"]) == 1


def test_it_gives_up_in_the_end(server):
    server.faults["/file"] = [503] * 9
    with pytest.raises(DataUnavailableError, match=r"in 3 attempts \(HTTP 503 .*later"):
        HttpFile(f"{server.url}/file", Retry(3, 0))
    assert len(server.faults["/file"]) == 6


def test_nobody_answers():
    with pytest.raises(ReadFailedError) as failed:
        fetch("http://127.0.0.1:9/file")
    assert failed.value.transient


def test_a_file_that_changes_meanwhile_is_refused(server, tmp_path):
    file = HttpFile(f"{server.url}/file", Retry(delay=0))
    (tmp_path / "file").write_bytes(CONTENT * 2)
    with pytest.raises(DataUnavailableError, match="has changed"):
        file.read(10)


def test_waiting_doubles(monkeypatch):
    waits = []
    retry = Retry(8, 1.0)
    monkeypatch.setattr(threading.Event, "wait", lambda self, seconds: waits.append(seconds))

    def fail():
        raise ReadFailedError("http://x", "no answer")

    with pytest.raises(DataUnavailableError):
        retry.call(fail)
    assert waits == [1, 2, 4, 8, 16, 32, 60]


def test_gdal_says_the_status_too():
    assert not ReadFailedError("https://x", "HTTP response code: 404").transient
    assert ReadFailedError("https://x", "HTTP response code: 502").transient
    assert not ReadFailedError("/here", "it is damaged").transient


def test_jobs_run_at_once_and_all_outcomes_come():
    both = threading.Barrier(2, timeout=30)

    def job(name):
        def outcomes():
            both.wait()
            yield Outcome(name + "1")
            yield Outcome(name + "2")

        return outcomes

    found = {outcome.tile_id for outcome in run_jobs([job("a"), job("b")], 2, Retry())}
    assert found == {"a1", "a2", "b1", "b2"}


def test_an_error_of_a_job_stops_the_others():
    retry = Retry(1000, 1000)
    ended = []

    def waits():
        try:
            retry.call(busy)
        except StoppedError:
            ended.append(True)
            raise
        yield Outcome("never")

    def busy():
        raise ReadFailedError("http://x", "busy")

    def breaks():
        time.sleep(0.1)
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        list(run_jobs([waits, breaks], 2, retry))
    assert ended == [True]
