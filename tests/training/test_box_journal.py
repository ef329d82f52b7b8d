"""The journal of found boxes: cut anywhere, it holds whole images only."""

import resource

import pytest

from coteach.training.box_journal import BoxJournal, FoundBoxes

ENTRIES = [
    FoundBoxes(1, [10, 20], [64, 64], [[0.0, 1.5, 2.0, 3.0]], [2], [0.5]),
    FoundBoxes("é.png", None, [8, 9], [], [], []),
    FoundBoxes(3, [1, 2], [64, 64], [[1.0, 1.0, 2.0, 2.0]], [1], [0.25]),
]


def test_cut_at_every_byte_it_goes_on(tmp_path):
    file = tmp_path / "a.jsonl"
    journal = BoxJournal(file, {"score": 0.1})
    journal.add(ENTRIES[:1])
    journal.add(ENTRIES[1:])
    whole = file.read_bytes()
    ends = [end for end in range(1, len(whole) + 1) if whole[end - 1 : end] == b"\n"]
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        found = BoxJournal(file, {"score": 0.1}).found
        kept = max(0, sum(end <= cut for end in ends) - 1)
        assert found == {entry.image_id: entry for entry in ENTRIES[:kept]}
        again = BoxJournal(file, {"score": 0.1})
        again.add(ENTRIES[kept:])
        assert file.read_bytes() == whole


def test_made_with_something_else_it_begins_anew(tmp_path):
    file = tmp_path / "a.jsonl"
    BoxJournal(file, {"score": 0.1}).add(ENTRIES)
    assert BoxJournal(file, {"score": 0.2}).found == {}
    assert len(file.read_bytes().splitlines()) == 1


def test_the_later_of_two_entries_counts(tmp_path):
    file = tmp_path / "a.jsonl"
    journal = BoxJournal(file, {})
    newer = FoundBoxes(1, [11, 21], [64, 64], [], [], [])
    journal.add([ENTRIES[0]])
    journal.add([newer])
    assert journal.found == BoxJournal(file, {}).found == {1: newer}


def test_where_there_is_no_room_it_says_so_and_keeps_what_was_whole(tmp_path):
    file = tmp_path / "a.jsonl"
    journal = BoxJournal(file, {})
    journal.add(ENTRIES[:1])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(OSError, match=r"bytes more are needed.*a\.jsonl"):
            journal.add(ENTRIES[1:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert set(BoxJournal(file, {}).found) == {1}
