"""Boxes, images and views move together: squares are drawn, moved, and framed again."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coteach.data.box_geometry import (
    affine,
    apply_affine_boxes,
    flip_matrix,
    invert_affine,
    rotation_matrix,
    scale_matrix,
    warp_image,
)
from coteach.data.detection_colors import COLOR_OPERATIONS, change_color
from coteach.data.detection_options import StrongOptions, WeakOptions, options_from
from coteach.data.detection_views import strong_view, weak_view
from coteach.errors import OptionError

SIZE = (120, 160)


def drawn(box, size=SIZE, background=0.0):
    """A picture with a white box."""
    image = torch.full((3, *size), background)
    x1, y1, x2, y2 = (round(v) for v in box)
    image[:, y1:y2, x1:x2] = 1.0
    return image


def framed(image):
    """Frame of what is white in a picture, or None."""
    rows, columns = torch.where(image[0] > 0.5)
    if len(rows) == 0:
        return None
    return [columns.min().item(), rows.min().item(), columns.max().item() + 1, rows.max().item() + 1]


def iou(a, b):
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = wide * high
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def generator(seed):
    return torch.Generator().manual_seed(seed)


MATRICES = {
    "flip": flip_matrix(SIZE[1]),
    "scale": scale_matrix(SIZE, (90, 200)),
    "translate": affine(c=-16, f=12),
    "rotate": rotation_matrix(30, SIZE),
    "rotate back": rotation_matrix(-17, SIZE),
    "shear x": affine(b=math.tan(math.radians(30))),
    "shear y": affine(d=-0.3),
}
BOXES = [(40, 30, 90, 80), (0, 0, 50, 40), (120, 70, 160, 120), (60, 50, 74, 64)]


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("box", BOXES)
def test_a_moved_box_frames_the_moved_square_also_where_the_edge_cuts_it(name, box):
    size = (90, 200) if name == "scale" else SIZE
    picture = warp_image(drawn(box), MATRICES[name], size, fill=0.0)
    boxes, kept = apply_affine_boxes(
        torch.tensor([box], dtype=torch.float32), MATRICES[name], size=size, min_visible=0.0
    )
    seen = framed(picture)
    if seen is None:
        assert not kept.any()
    else:
        assert iou(boxes[0].tolist(), seen) >= 0.9


@pytest.mark.parametrize(
    ("geometry", "color"), list(itertools.product(["translate", "rotate", "shear"], COLOR_OPERATIONS))
)
def test_a_pseudo_box_moved_by_every_strong_augmentation_frames_the_same_square(geometry, color):
    options = StrongOptions(geometry=(geometry,), colors=(color,), patches=(0, 0))
    found = 0
    for seed, box in itertools.product(range(6), [(40, 30, 90, 80), (80, 60, 130, 110)]):
        plain = StrongOptions(geometry=(geometry,), colors=("identity",), patches=(0, 0), fill=0.0)
        image = drawn(box)
        square, view = (
            strong_view(image, generator(seed), plain),
            strong_view(image, generator(seed), options),
        )
        assert torch.equal(square.matrix, view.matrix)
        boxes, kept = apply_affine_boxes(
            torch.tensor([box], dtype=torch.float32), view.matrix, size=view.size
        )
        if kept.any():
            found += 1
            assert iou(boxes[0].tolist(), framed(square.image)) >= 0.9
        assert view.image.shape == (3, *view.size)
        assert view.image.min() >= 0
        assert view.image.max() <= 1
    assert found >= 10


def test_the_share_that_is_seen_is_the_area_that_is_drawn():
    box = torch.tensor([[100.0, 20.0, 180.0, 90.0]])
    wide = (120, 300)
    for degrees in range(-30, 31, 6):
        matrix = rotation_matrix(degrees, SIZE)
        whole = warp_image(drawn(box[0].tolist(), wide), affine(c=60, f=60) @ matrix, (260, 400), fill=0.0)
        share = (whole[0, 60:180, 60:220].sum() / whole[0].sum()).item()
        assert apply_affine_boxes(box, matrix, size=SIZE, min_visible=share - 0.01)[1].item()
        assert not apply_affine_boxes(box, matrix, size=SIZE, min_visible=share + 0.01)[1].item()


def test_hand_worked_boxes():
    boxes = torch.tensor([[10.0, 20.0, 30.0, 50.0], [150.0, 0.0, 160.0, 10.0], [5.0, 5.0, 5.0, 9.0]])
    moved, kept = apply_affine_boxes(boxes, affine(a=-1, c=160), size=SIZE)
    assert moved.tolist() == [[130.0, 20.0, 150.0, 50.0], [0.0, 0.0, 10.0, 10.0]]
    assert kept.tolist() == [True, True, False]
    quarter, _ = apply_affine_boxes(boxes[:1], rotation_matrix(90, (100, 100)))  # x' = 100 - y, y' = x
    assert torch.allclose(quarter, torch.tensor([[50.0, 10.0, 80.0, 30.0]]))
    half, kept = apply_affine_boxes(boxes[:2], affine(c=5.0), size=SIZE, min_visible=0.6)
    assert half.tolist() == [[15.0, 20.0, 35.0, 50.0]]
    assert kept.tolist() == [True, False]
    two_rows, _ = apply_affine_boxes(boxes[:1], affine(c=1.0)[:2].float())
    assert two_rows.tolist() == [[11.0, 20.0, 31.0, 50.0]]


def test_boxes_that_left_and_boxes_of_nothing_are_dropped():
    boxes = torch.tensor([[0.0, 0, 10, 10], [float("nan"), 0, 5, 5], [5.0, 5, 2, 9], [50.0, 50, 50.5, 60]])
    for frame in ("corners", "ellipse"):
        moved, kept = apply_affine_boxes(boxes, affine(c=-10), size=SIZE, frame=frame)
        assert moved.shape == (0, 4)
        assert not kept.any()
    assert apply_affine_boxes(torch.zeros(0, 4), affine(), size=SIZE)[0].shape == (0, 4)


def test_the_frame_of_an_ellipse_is_that_of_a_drawn_disc():
    y, x = torch.meshgrid(torch.arange(120) + 0.5, torch.arange(160) + 0.5, indexing="ij")
    disc = (((x - 70) / 30) ** 2 + ((y - 60) / 20) ** 2 <= 1).float().expand(3, -1, -1)
    for matrix in (rotation_matrix(30, SIZE), MATRICES["shear y"], affine(b=0.4)):
        boxes, _ = apply_affine_boxes(torch.tensor([[40.0, 40, 100, 80]]), matrix, size=SIZE, frame="ellipse")
        corners, _ = apply_affine_boxes(torch.tensor([[40.0, 40, 100, 80]]), matrix, size=SIZE)
        seen = framed(warp_image(disc, matrix, SIZE, fill=0.0))
        assert iou(boxes[0].tolist(), seen) >= 0.95
        assert iou(corners[0].tolist(), seen) < 0.85


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["none", "translate", "shear"]))
def test_a_matrix_and_its_inverse_bring_every_point_back(seed, geometry):
    options = StrongOptions(geometry=() if geometry == "none" else (geometry,))
    matrix = strong_view(torch.zeros(3, 20, 30), generator(seed), options).matrix
    assert torch.allclose(invert_affine(matrix) @ matrix, affine(), atol=1e-9)
    box = torch.tensor([[3.0, 4.0, 12.0, 9.0]])
    if geometry != "shear":
        there, _ = apply_affine_boxes(box, matrix)
        assert torch.allclose(apply_affine_boxes(there, invert_affine(matrix))[0], box, atol=1e-3)


def test_a_matrix_without_inverse_is_refused():
    with pytest.raises(OptionError, match="cannot be inverted"):
        invert_affine(affine(a=0.0))


def test_an_unknown_frame_is_refused(unchecked):
    with pytest.raises(OptionError, match="'circle' is unknown"):
        apply_affine_boxes(torch.zeros(1, 4), affine(), frame="circle")  # type: ignore[arg-type]


def test_nothing_to_do_leaves_an_image_as_it_is_and_whole_shifts_move_pixels():
    image = torch.rand(3, 20, 30, generator=generator(1))
    assert torch.allclose(warp_image(image, affine(), (20, 30)), image, atol=1e-5)
    assert torch.allclose(warp_image(image, flip_matrix(30), (20, 30)), image.flip(-1), atol=1e-5)
    shifted = warp_image(image, affine(c=4, f=-3), (20, 30), fill=0.25)
    assert torch.allclose(shifted[:, :17, 4:], image[:, 3:, :26], atol=1e-5)
    assert torch.allclose(shifted[:, :, :4], torch.tensor(0.25))


def test_the_weak_view_flips_and_resizes_and_says_so():
    image, box = drawn((40, 30, 90, 80)), torch.tensor([[40.0, 30, 90, 80]])
    flips = set()
    for seed in range(12):
        view = weak_view(image, generator(seed), WeakOptions(short_side=(60, 240), long_side=300))
        assert view.image.shape == (3, *view.size)
        assert 60 <= min(view.size) <= 240
        assert max(view.size) <= 300
        assert view.size[1] / view.size[0] == pytest.approx(160 / 120, abs=0.02)
        boxes, _ = apply_affine_boxes(box, view.matrix, size=view.size)
        assert iou(boxes[0].tolist(), framed(view.image)) >= 0.9
        flips.add(view.flipped)
    assert flips == {True, False}
    assert weak_view(image, generator(0), WeakOptions(short_side=(500, 500), long_side=80)).size == (60, 80)


def test_views_depend_on_their_generator_alone():
    image = torch.rand(3, 40, 50, generator=generator(3))
    torch.manual_seed(1)
    first = strong_view(image, generator(7))
    torch.manual_seed(2)
    again, other = strong_view(image, generator(7)), strong_view(image, generator(8))
    assert torch.equal(first.image, again.image)
    assert first.operations == again.operations
    assert not torch.equal(first.matrix, other.matrix)


def test_draws_stay_in_their_ranges_and_all_of_them_come():
    image = torch.zeros(3, 100, 100)
    names, colors, scales = set(), set(), []
    for seed in range(150):
        view = strong_view(
            image, generator(seed), StrongOptions(patches=(0, 0), colors=tuple(COLOR_OPERATIONS))
        )
        colors.add(view.operations[0])
        names.add(view.operations[1])
        scales.append(view.size[0] / 100)
        if view.operations[1] == "rotate":
            row = view.matrix[0] / view.matrix[0, :2].norm()
            assert abs(math.degrees(math.asin(float(row[1])))) <= 30.001
    assert names == {"translate", "rotate", "shear"}
    assert colors == set(COLOR_OPERATIONS)
    assert 0.8 <= min(scales) < 0.85
    assert 1.2 < max(scales) <= 1.25


def test_patches_are_erased_and_no_larger_than_said():
    image = torch.ones(3, 100, 100)
    options = StrongOptions(flip=0.0, scale=(1, 1), geometry=(), colors=(), patches=(1, 1), fill=0.0)
    shares = [1 - strong_view(image, generator(seed), options).image.mean().item() for seed in range(40)]
    assert max(shares) <= 0.04 + 1e-6
    assert sum(share > 0.001 for share in shares) > 25
    assert torch.equal(image, torch.ones(3, 100, 100))  # the weak view is not written to
    identity = StrongOptions(flip=0.0, scale=(1, 1), geometry=(), colors=(), patches=(2, 2))
    original = torch.ones(3, 100, 100)
    strong_view(original, generator(0), identity)
    assert torch.equal(original, torch.ones(3, 100, 100))


def test_colour_operations_do_what_their_names_say():
    image = torch.tensor([0.2, 0.4, 0.6])[:, None, None].expand(3, 4, 5).contiguous()
    image[:, 0, 0] = 0.8
    assert torch.equal(change_color("identity", image, 1.0), image)
    assert torch.allclose(change_color("brightness", image, 0.5), (image * 1.45).clamp(0, 1), atol=1e-6)
    assert torch.allclose(
        change_color("solarize", image, 0.5), torch.where(image >= 0.5, 1 - image, image), atol=1e-6
    )
    grey = change_color("color", image, -1.0)
    assert (grey.amax(0) - grey.amin(0)).max() < 0.1 * 0.4 + 1e-5
    stretched = change_color("autocontrast", image, 0.0)
    assert stretched.amax((1, 2)).tolist() == pytest.approx([1, 1, 1])
    assert stretched.amin((1, 2)).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    ramp = torch.linspace(0, 1, 256).expand(3, 1, 256)
    assert len(change_color("posterize", ramp, 1.0)[0].unique()) == 16
    assert len(change_color("posterize", ramp, 0.0)[0].unique()) == 256
    flat = change_color("contrast", image, -1.0)
    assert flat.std() < 0.3 * image.std()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: StrongOptions(flip=1.5), "flip"),
        (lambda: StrongOptions(scale=(2.0, 1.0)), "scale"),
        (lambda: StrongOptions(patches=(3, 1)), "patches"),
        (lambda: StrongOptions(rotate=90.0), "rotate"),
        (lambda: StrongOptions(geometry=("spin",)), "'spin' is unknown"),
        (lambda: StrongOptions(colors=("sepia",)), "'sepia' is unknown"),
        (lambda: WeakOptions(short_side=(9, 3)), "short_side"),
        (lambda: WeakOptions(long_side=0), "long_side"),
    ],
)
def test_options_out_of_range_are_refused(make, word):
    with pytest.raises(OptionError, match=word):
        make()


def test_options_of_a_configuration_have_lists_for_ranges_and_keep_the_other_defaults():
    given = {"rotate": 10, "scale": [0.5, 2], "colors": ["identity"], "geometry": []}
    found = options_from(StrongOptions, given, "strong")
    assert found == StrongOptions(rotate=10, scale=(0.5, 2), colors=("identity",), geometry=())
    assert options_from(StrongOptions, None, "strong") == StrongOptions()
    own = WeakOptions(flip=0.0)
    assert options_from(WeakOptions, own, "weak") is own


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rotat": 1}, r"strong\.rotat: is unknown; did you mean rotate"),
        ({"rotate": "10"}, r"strong\.rotate: is '10'; give a number"),
        ({"flip": True}, r"strong\.flip: is True; give a number"),
        ({"scale": 2.0}, r"strong\.scale: is 2.0; give a list of 2 numbers"),
        ({"patches": [1, 2, 3]}, r"strong\.patches: is \[1, 2, 3\]; give a list of 2"),
        ({"patches": [1.5, 2]}, r"strong\.patches: is 1.5; give a whole number"),
        ({"colors": "equalize"}, r"strong\.colors: is 'equalize'; give a list of names"),
        ({"rotate": 90.0}, r"strong\.rotate: 90.0 is not in \[0, 90\)"),
    ],
)
def test_options_that_a_configuration_cannot_have(given, said):
    with pytest.raises(OptionError, match=said):
        options_from(StrongOptions, given, "strong")
