"""Vote shares, borders, confidence and nearest neighbours from their definitions: plain loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import rasterio
from rasterio.warp import transform as move_points


def loop_shares(codes, num_classes):
    """P_soft(c) = votes for c / votes, pixel by pixel."""
    _, height, width = codes.shape
    shares = np.zeros((num_classes, height, width))
    for i in range(height):
        for j in range(width):
            votes = [code for code in codes[:, i, j].tolist() if 0 <= code < num_classes]
            for c in range(num_classes):
                shares[c, i, j] = votes.count(c) / len(votes) if votes else 1 / num_classes
    return shares


def loop_border(codes):
    """Pixels with another class among their 8 neighbours; NoData and the edge are no border."""
    height, width = codes.shape
    border = []
    for i in range(height):
        for j in range(width):
            for di in (-1, 0, 1):
                for dj in (-1, 0, 1):
                    k, m = i + di, j + dj
                    if (
                        0 <= k < height
                        and 0 <= m < width
                        and codes[i, j] >= 0
                        and codes[k, m] >= 0
                        and codes[k, m] != codes[i, j]
                    ):
                        border.append((i, j))
    return sorted(set(border))


def loop_distance(codes):
    border = loop_border(codes)
    height, width = codes.shape
    return np.array(
        [
            [min((math.dist((i, j), pixel) for pixel in border), default=math.inf) for j in range(width)]
            for i in range(height)
        ]
    )


def loop_confidence(
    codes,
    num_classes,
    mask=None,
    *,
    alpha=0.6,
    beta=0.0,
    use_border=True,
    radius=10,
    norm="max_entropy",
    w_embed=None,
):
    """W_conf from the formulas, in loops and double precision."""
    shares = loop_shares(codes, num_classes)
    _, height, width = shares.shape
    pixels = [(i, j) for i in range(height) for j in range(width)]
    voted = {
        pixel for pixel in pixels if any(0 <= code < num_classes for code in codes[(slice(None), *pixel)])
    }
    h = {p: -sum(x * math.log(x) for x in shares[(slice(None), *p)] if x > 0) for p in pixels}
    lowest = min((h[p] for p in voted), default=0)
    highest = max((h[p] for p in voted), default=0)
    best = np.array(
        [
            [int(np.argmax(shares[:, i, j])) if (i, j) in voted else -1 for j in range(width)]
            for i in range(height)
        ]
    )
    distance = loop_distance(best if mask is None else mask)
    furthest = max((distance[p] for p in voted), default=0)
    weight = np.zeros((height, width))
    for p in voted:
        if norm == "max_entropy":
            by_entropy = 1 - h[p] / math.log(num_classes)
        elif highest - lowest < 1e-9:
            by_entropy = 1
        else:
            by_entropy = 1 - (h[p] - lowest) / (highest - lowest)
        if math.isinf(distance[p]):
            by_border = 1
        elif mask is not None:
            by_border = min(1, distance[p] / radius)
        else:
            by_border = distance[p] / furthest if furthest > 0 else 0
        by_embedding = 0 if w_embed is None else w_embed[p]
        if use_border:
            weight[p] = alpha * by_entropy + (1 - alpha - beta) * by_border + beta * by_embedding
        else:
            weight[p] = (alpha * by_entropy + beta * by_embedding) / (alpha + beta)
    return weight


def loop_nearest(image, source, num_classes):
    """The code of the source's pixel that holds the centre of each of the image's pixels; -1 without one."""
    with rasterio.open(image) as on, rasterio.open(source) as from_:
        values, (a, b, c, d, e, f) = from_.read(1), tuple(from_.transform)[:6]
        area = a * e - b * d
        result = np.full((on.height, on.width), -1)
        for i in range(on.height):
            for j in range(on.width):
                x, y = on.xy(i, j)
                (x,), (y,) = move_points(on.crs, from_.crs, [x], [y])
                x, y = x - c, y - f
                col, row = math.floor((e * x - b * y) / area), math.floor((a * y - d * x) / area)
                if 0 <= row < from_.height and 0 <= col < from_.width:
                    value = values[row, col]
                    if value != from_.nodata and 0 <= value < num_classes:
                        result[i, j] = value
    return result
