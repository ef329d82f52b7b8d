from __future__ import annotations

import io
import sys

from coteach.cli.progress import track


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_silent_without_a_terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with track(3, "tiles") as advance:
        advance()
        advance(2)
    assert stream.getvalue() == ""


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with track(7, "tiles") as advance:
        advance()
        advance(3)
    assert "tiles" in stream.getvalue()
    assert "4/7" in stream.getvalue()
    assert capsys.readouterr().out == ""
