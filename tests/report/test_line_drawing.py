"""Figures by epoch as a drawing that stands by itself."""

import math
import xml.etree.ElementTree as ET

from coteach.report.line_drawing import draw_by_epoch

SVG = "{http://www.w3.org/2000/svg}"


def test_a_line_a_label_with_the_values_at_their_places():
    drawn = draw_by_epoch(
        "precision", {"a <b>": [0.0, 0.5, 1.0], "gap": [math.nan, 1.0, 0.5], "none": []}, y_range=(0.0, 1.0)
    )
    root = ET.fromstring(drawn.strip())
    paths = {path[0].text: path.get("d") for path in root.iter(f"{SVG}path") if len(path)}
    # x: epochs 1 to 3 over 324 from 44; y: 0 to 1 over 180 upwards from 190
    assert paths["a <b>"] == "M44.0 190.0L206.0 100.0L368.0 10.0"
    assert paths["gap"] == "M206.0 10.0L368.0 100.0"
    legend = [text.text for text in root.iter(f"{SVG}text")]
    assert {"a <b>", "gap", "precision", "epoch"} <= set(legend)
    assert "none" not in legend


def test_nothing_is_drawn_of_nothing():
    assert draw_by_epoch("precision", {"a": [], "b": [math.nan]}) == ""
