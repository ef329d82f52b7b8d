"""Bad rasters: cut off, flipped in single bits, absurd in their headers, or VRTs that lead where they should not.

Each is once a tile's image, or once one of its label maps; the tile is checked and built. Where the file's own checks
can tell (the checksums of zlib; an end that is missing), the build gives what the whole file gives, or refuses it.
"""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
from absurd_rasters import ABSURD, SIZE, rewritten, saved
from fault_frame import Family, Try
from label_rasters import write_sources

from coteach import build_soft_labels
from coteach.rasters.check import check_sources

CLASSES = 3
MEMORY = 8 << 30  # bytes of addresses; a file may declare any size, and this computer has others to serve
DISK = 1 << 30  # bytes of one file

Change = Callable[
    [Path, random.Random], bool
]  # makes a file bad; True: its checks can tell, so no other value


def tries(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """All absurd files in both roles, then flips and cuts; of a small count, a third is absurd."""
    rng = random.Random(seed)
    absurd = [(name, change, role) for name, change in ABSURD.items() for role in ("image", "esa")]
    if count < 2 * len(absurd):
        absurd = rng.sample(absurd, count // 3)
    changes = list(FLIPS.items())
    for number in range(count):
        if number < len(absurd):
            name, change, role = absurd[number]
        else:
            name, change = changes[number % len(changes)]
            role = rng.choice(("image", "esa"))
        yield Try(f"{name}: {role}", partial(attempt, change=change, role=role, seed=rng.getrandbits(32)))


def attempt(folder: Path, change: Change, role: str, seed: int) -> None:
    """Check and build a tile of which one file is bad: refused by name, or processed to what it can mean."""
    files = write_tile(folder)
    sound = built(folder, "sound")
    assert sound is not None
    same = change(files[role], random.Random(seed))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
    check_sources(folder / "sources.csv", num_classes=CLASSES, max_workers=1)
    shares = built(folder, "out", files[role].name)
    assert not (folder / "entered").exists(), "code in a file was run"
    if shares is None:
        return
    assert np.isfinite(shares).all(), "shares are no numbers"
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    assert not same or np.array_equal(shares, sound), "a silent wrong value"


def built(folder: Path, name: str, bad: str = "") -> np.ndarray | None:
    """P_soft of the tile; None if the tile was refused, and the file that is bad was named."""
    report = build_soft_labels(
        folder / "sources.csv",
        folder / name,
        CLASSES,
        lulc_keys=["esa_path"],
        scheduler="serial",
        max_workers=1,
    )
    if report.failures:
        ((tile, error),) = report.failures
        assert tile == "t"
        assert "not foreseen" not in error, error
        # of two files that do not fit it is not known which one lies
        assert any(
            text in error for text in (bad, "does not overlap the image", "cannot be laid over the image")
        ), error
        return None
    with rasterio.open(folder / name / "p_soft" / "t.tif") as dataset:
        return dataset.read()


def write_tile(folder: Path) -> dict[str, Path]:
    """An image and two label maps of compressed blocks, and their table; role -> file."""
    rng = np.random.default_rng(0)
    files = {}
    for role in ("image", "mask", "esa"):
        codes = rng.integers(0, CLASSES, (SIZE, SIZE)).astype(np.uint8)
        files[role] = saved(
            folder / f"{role}.tif", codes, compress="deflate", tiled=True, blockxsize=16, blockysize=16
        )
    row = {"tile_id": "t"} | {f"{role}_path": file.name for role, file in files.items()}
    write_sources(folder / "sources.csv", [row])
    return files


def flip_block(path: Path, rng: random.Random) -> bool:
    """One bit within the compressed blocks."""
    blocks = block_bytes(path)
    flip(path, rng, [n for block in blocks for n in block], 1)
    return True


def flip_header(path: Path, rng: random.Random) -> bool:
    """Some bits outside of the blocks, where a header may be led to say anything."""
    inside = {n for block in block_bytes(path) for n in block}
    flip(path, rng, [n for n in range(path.stat().st_size) if n not in inside], rng.randrange(1, 5))
    return False


def flip_anywhere(path: Path, rng: random.Random) -> bool:
    """Some bits of a file without checksums."""
    compress = rng.choice(["none", "lzw", "packbits", "zstd", "lzma"])
    rewritten(path, compress=compress, BIGTIFF=rng.choice(["YES", "NO"]))
    flip(path, rng, range(path.stat().st_size), rng.randrange(1, 5))
    return False


def cut_off(path: Path, rng: random.Random) -> bool:
    """What follows some byte is missing."""
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])
    return True


FLIPS: dict[str, Change] = {
    "bit flipped in a block": flip_block,
    "bits flipped in the header": flip_header,
    "bits flipped anywhere": flip_anywhere,
    "cut off": cut_off,
}


def flip(path: Path, rng: random.Random, places: list[int] | range, times: int) -> None:
    """Flip a bit at some of these places."""
    content = bytearray(path.read_bytes())
    for _ in range(times):
        content[rng.choice(places)] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def block_bytes(path: Path) -> list[range]:
    """Where in the file each compressed block lies."""
    with rasterio.open(path) as dataset:
        across = range(SIZE // 16)
        return [
            range(start := item(dataset, "OFFSET", x, y), start + item(dataset, "SIZE", x, y))
            for x in across
            for y in across
        ]


def item(dataset: rasterio.DatasetReader, what: str, x: int, y: int) -> int:
    """A number of a block, as GDAL tells it."""
    return int(dataset.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=1))


FAMILIES = (Family("bad rasters", "processed or refused by name", tries, short=8, long=400),)
