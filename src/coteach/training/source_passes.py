"""The two passes of an audit of sources over all tiles: one estimates, one writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from coteach.labels.quality import LabelQuality
from coteach.rasters.dataset import files_behind
from coteach.rasters.error_maps import error_map_paths, error_map_writer, source_name
from coteach.rasters.fingerprint import read_record, stamps, write_record
from coteach.rasters.pool import Progress
from coteach.rasters.tile_sources import named
from coteach.training.audited_tile import AuditedTile, Drawn
from coteach.training.scene_job import noted
from coteach.training.scenes import count_windows
from coteach.training.source_errors import ErrorCounts, estimate_errors, wrong_where
from coteach.training.source_job import SourceAuditJob


class SourcePasses:
    """Does both, and collects what they find.

    Args:
        job: with what, and where to.
        progress: called with the number of windows and a label, a context manager that gives what to call after each.
        failures: gets id -> error of the tiles that fail.

    Attributes:
        estimates: column -> how the source errs.
        counts: tile -> column -> figures.
        made: ids of the tiles whose maps were written.
        unknown: column -> code -> pixels, of codes that are no class.
    """

    def __init__(self, job: SourceAuditJob, progress: Progress, failures: dict[str, str]) -> None:
        self._job = job
        self._progress = progress
        self._failures = failures
        self.estimates: dict[str, LabelQuality] = {}
        self.counts: dict[str, dict[str, ErrorCounts]] = {}
        self.made: list[str] = []
        self.unknown: dict[str, dict[str, int]] = {}

    def draw(self, tiles: Sequence[AuditedTile]) -> None:
        """Draw pixels of all tiles, and estimate how the sources err."""
        share = min(1.0, self._job.drawn / max(1, sum(one.pixels for one in tiles)))
        waiting, ready = [], []
        for one in tiles:
            with noted(one.tile.tile_id, one.image.path, self._failures):
                made_of = self._made_of(one) | {"share": share, "keys": self._job.sources.source_keys}
                known = read_record(self._record(one, "drawn"), made_of, [self._drawn_file(one)])
                if known is None:
                    waiting.append((one, made_of))
                else:
                    self._count(known)
                    ready.append(one)
        with self._progress(self._windows([one for one, _ in waiting]), "windows, to estimate") as advance:
            for one, made_of in waiting:
                with noted(one.tile.tile_id, one.image.path, self._failures):
                    drawn, unknown = one.draw(share, advance)
                    drawn.save(self._drawn_file(one))
                    write_record(self._record(one, "drawn"), made_of, [self._drawn_file(one)], unknown)
                    self._count(unknown)
                    ready.append(one)
        order = {one.tile.tile_id: number for number, one in enumerate(tiles)}
        ready.sort(key=lambda one: order[one.tile.tile_id])  # an interrupted run ends with the same numbers
        drawn_of = [Drawn.load(self._drawn_file(one)) for one in ready]
        self.estimates = estimate_errors(drawn_of, self._job.sources.source_keys)

    def write(self, tiles: Sequence[AuditedTile], tell: Callable[[str], None]) -> None:
        """Write the maps of all tiles that are not up to date.

        Args:
            tiles: whose pixels were drawn.
            tell: called with a line about each tile.
        """
        transitions = {key: one.transition.tolist() for key, one in self.estimates.items()}
        waiting = []
        for one in tiles:
            with noted(one.tile.tile_id, one.image.path, self._failures):
                made_of = self._made_of(one) | {
                    "transitions": {key: transitions.get(key) for key in one.tile.sources},
                    "names": list(self._job.scene.legend.names),
                }
                kept = read_record(self._record(one, "maps"), made_of, self._maps(one).values())
                if kept is None:
                    waiting.append((one, made_of))
                else:
                    counts = {key: ErrorCounts.of_plain(plain) for key, plain in kept.items()}
                    self.counts[one.tile.tile_id] = counts
        with self._progress(self._windows([one for one, _ in waiting]), "windows, to write") as advance:
            for one, made_of in waiting:
                name = one.tile.tile_id
                with noted(name, one.image.path, self._failures):
                    counts = self._write(one, advance)
                    result = {key: count.plain() for key, count in counts.items()}
                    write_record(self._record(one, "maps"), made_of, self._maps(one).values(), result)
                    self.counts[name] = counts
                    self.made.append(name)
                tell(f"{name}: {self._failures.get(name, 'written')}")

    def _write(self, one: AuditedTile, advance: Callable[[int], None]) -> dict[str, ErrorCounts]:
        classes = self._job.scene.num_classes
        nothing = ErrorCounts(np.zeros((classes, classes)), 0)
        counts = dict.fromkeys(one.tile.sources, nothing)
        names = self._job.scene.legend.names
        with ExitStack() as files:
            writers = {
                key: files.enter_context(error_map_writer(path, one.image.grid, source_name(key), names))
                for key, path in self._maps(one).items()
            }
            for rows in one.rows(advance):
                for key, writer in writers.items():
                    estimate = self.estimates.get(key)
                    codes = rows.codes[key]
                    if estimate is None:
                        writer.write(rows.window, np.full(codes.shape, np.nan), np.full(codes.shape, -1))
                        continue
                    p_wrong, suggested, found = wrong_where(estimate, rows.probs, codes)
                    writer.write(rows.window, p_wrong, suggested)
                    counts[key] = ErrorCounts.total([counts[key], found])
        return counts

    def _windows(self, tiles: Sequence[AuditedTile]) -> int:
        classes = self._job.scene.num_classes
        return sum(count_windows(one.method, one.image, classes, one.options) for one in tiles)

    def _count(self, unknown: Mapping[str, Mapping[str, int]]) -> None:
        for key, codes in unknown.items():
            own = self.unknown.setdefault(key, {})
            for code, pixels in codes.items():
                own[code] = own.get(code, 0) + pixels

    def _made_of(self, one: AuditedTile) -> dict[str, Any]:
        """What decides what the networks and the sources say."""
        sources, options = self._job.sources, asdict(one.options)
        del options["batch_size"]
        files = {"": stamps(file.absolute() for file in files_behind(one.tile.image))}
        for key, path in one.tile.sources.items():
            with named(one.tile, f"source {key!r}"):
                files[key] = stamps(file.absolute() for file in files_behind(path))
        return {
            "by": self._job.scene.made_by,
            "options": options,
            "num_classes": sources.num_classes,
            "legends": {key: sorted(sources.legends.get(key, {}).items()) for key in one.tile.sources},
            "files": files,
        }

    def _maps(self, one: AuditedTile) -> dict[str, Path]:
        return error_map_paths(self._job.scene.output_dir, one.tile)

    def _record(self, one: AuditedTile, what: str) -> Path:
        return self._job.records / f"{one.tile.tile_id}_{what}.json"

    def _drawn_file(self, one: AuditedTile) -> Path:
        return self._job.records / f"{one.tile.tile_id}_drawn.npz"
