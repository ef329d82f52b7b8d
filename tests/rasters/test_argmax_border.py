"""Borders of argmax P_soft, marked block by block: the shares that a search over all pixels gives."""

from __future__ import annotations

import numpy as np
import pytest
from rasterio import CRS, Affine

from coteach.rasters import argmax_border
from coteach.rasters import blocks as blocks_module
from coteach.rasters.argmax_border import HALO, ArgmaxBorder
from coteach.rasters.blocks import blocks, padded
from coteach.rasters.grid import Grid
from coteach.rasters.scratch import Scratch

HEIGHT, WIDTH = 21, 37


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    for module in (blocks_module, argmax_border):
        monkeypatch.setattr(module, "ROWS", 8)
    monkeypatch.setattr(blocks_module, "COLS", 16)


def shares(best, voted, threads=1):
    grid = Grid(CRS.from_epsg(32633), Affine(10, 0, 0, 0, -10, 0), HEIGHT, WIDTH)
    border = ArgmaxBorder(grid, Scratch(None))
    for window in blocks(HEIGHT, WIDTH):
        around, _ = padded(window, HALO, HEIGHT, WIDTH)
        border.mark(window, around.cut(best))
    border.find(lambda window: window.cut(voted), threads)
    whole = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    for window in blocks(HEIGHT, WIDTH):
        window.cut(whole)[:] = border.share(window)
    return whole


@pytest.mark.parametrize("threads", [1, 3])
def test_distance_over_the_largest_that_has_a_vote(threads):
    best = np.zeros((HEIGHT, WIDTH), np.int16)
    best[:, 9:] = 1  # the border is columns 8 and 9
    voted = np.ones((HEIGHT, WIDTH), bool)
    voted[:, 30:] = False
    distance = np.minimum(abs(np.arange(WIDTH) - 8), abs(np.arange(WIDTH) - 9))
    expected = np.minimum(distance / 20, 1).astype(np.float32)  # column 29 is the furthest with a vote
    np.testing.assert_array_equal(shares(best, voted, threads), np.tile(expected, (HEIGHT, 1)))


def test_a_tile_without_borders_has_share_1():
    best = np.full((HEIGHT, WIDTH), 2, np.int16)
    assert (shares(best, np.ones((HEIGHT, WIDTH), bool)) == 1).all()


def test_where_only_borders_have_a_vote_all_shares_are_0():
    best = np.zeros((HEIGHT, WIDTH), np.int16)
    best[10:] = 1
    voted = np.zeros((HEIGHT, WIDTH), bool)
    voted[9:11] = True
    assert (shares(best, voted) == 0).all()
