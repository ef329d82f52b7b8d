"""Names and colours of classes."""

import pytest

from coteach.errors import OptionError
from coteach.legend import Legend, default_color, parse_color


def test_what_is_not_given_is_filled_in():
    legend = Legend.of(2)
    assert legend.names == ("class 0", "class 1")
    assert legend.hex_colors() == ["#0072b2", "#e69f00"]  # Okabe and Ito's blue and orange
    assert Legend.of(2, ["a", "b"], [(1, 2, 3), (4, 5, 6)]).hex_colors() == ["#010203", "#040506"]


def test_colors_of_many_classes_differ():
    assert len({default_color(code) for code in range(32)}) == 32


def test_colors_are_read_from_text():
    assert parse_color("#0a0B10", "class_colors") == (10, 11, 16)
    for bad in ("red", "#12345", "123456", "#1234567"):
        with pytest.raises(OptionError, match=bad):
            parse_color(bad, "class_colors")
