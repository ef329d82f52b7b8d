"""Boxes drawn on pictures: colours and places, pixel by pixel."""

import numpy as np

from coteach.data.box_picture import draw_boxes

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_lines_run_within_the_box():
    image = np.full((3, 40, 60), 0.2, np.float32)
    image[1, 0, 0] = 2.0  # above 1: cut off
    pixels = np.array(draw_boxes(image, np.array([[10.0, 5.0, 30.0, 25.0]]), [RED]))
    assert pixels.shape == (40, 60, 3)
    expected = np.full((40, 60, 3), 51, np.uint8)
    expected[0, 0, 1] = 255
    expected[5:25, 10:30] = RED
    expected[6:24, 11:29] = 51
    np.testing.assert_array_equal(pixels, expected)


def test_the_last_box_is_on_top_and_texts_are_seen_whole():
    image = np.zeros((3, 100, 200), np.float32)
    boxes = np.array([[150.0, 60.0, 190.0, 90.0], [150.0, 60.0, 190.0, 90.0], [2.0, 0.0, 20.0, 9.0]])
    pixels = np.array(draw_boxes(image, boxes, [BLUE, RED, BLUE], ["", "a long text of a class", "x"]))
    assert pixels[60, 170].tolist() == list(RED)
    columns = np.flatnonzero((pixels[50] == RED).all(1))  # the text's ground, above the box
    assert len(columns) > 60
    assert columns[0] < 150
    assert columns[-1] == 199
    assert (pixels[:10, :6] == BLUE).all(2).any()  # no room above: within the picture


def test_no_boxes_and_a_flat_one():
    image = np.zeros((3, 8, 8), np.float32)
    assert not np.array(draw_boxes(image, np.zeros((0, 4)), [])).any()
    assert np.array(draw_boxes(image, np.array([[2.0, 3.0, 2.0, 3.0]]), [RED], ["a"])).any()
