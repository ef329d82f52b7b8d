"""Soft labels by estimated reliability of the sources against equal votes.

    python benchmarks/reliability.py            # the tables of docs/benchmarks/reliability.md

Real: the sample's imperfect products (`coteach.labels.map_products`) against the untouched land cover they were made
from. Reliability is estimated from the votes of all pixels, as it is in use; the truth only judges. Blocks of 64 pixels
are divided at random into a validation half, on which thresholds and exponents were chosen with products of seeds 0 to
7, and a test half, which is reported with products of seeds 8 to 15.
Simulated: exact pattern probabilities of sources of known confusions, independent, one copied from another, or all
wrong together.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable

import numpy as np

from coteach.data.samples import prepare_nc_landcover
from coteach.labels.map_products import make_products
from coteach.labels.patterns import PatternCounts
from coteach.labels.reliability import VARIANTS, Reliability, dawid_skene, learned_shares
from coteach.rasters.codes import read_codes
from coteach.rasters.grid import Grid

CLASSES, BLOCK = 4, 64
FLOOR = 1e-3  # of a probability in the log loss, else one confident error outweighs everything
TEMPERS = (0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
SEEDS = {"validation": range(8), "test": range(8, 16)}
HEAD = ("labels", "accuracy", "mIoU", "log loss", "Brier")

Shares = Callable[[np.ndarray], np.ndarray]


def equal_votes(codes: np.ndarray) -> np.ndarray:
    """Vote shares of patterns."""
    votes = (codes[:, :, None] == np.arange(CLASSES)).sum(1)
    total = votes.sum(1, keepdims=True)
    return np.where(total > 0, votes / np.maximum(total, 1), 1 / CLASSES)


def tempered(estimate: Reliability, exponent: float) -> Shares:
    def shares(codes: np.ndarray) -> np.ndarray:
        powers = estimate.posterior(codes).astype(float) ** exponent
        return powers / powers.sum(1, keepdims=True)

    return shares


def contenders(patterns: PatternCounts) -> dict[str, Shares]:
    """Name -> what makes P_soft of patterns."""
    independent = dawid_skene(patterns, CLASSES)
    return {
        "equal votes": equal_votes,
        **{variant: learned_shares(patterns, CLASSES, variant).shares for variant in reversed(VARIANTS)},
        **{f"dawid-skene ^ {t:g}": tempered(independent, t) for t in TEMPERS},
    }


def scores(shares: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """Accuracy and mIoU of the argmax, log loss and Brier score of the shares, from ``(k, c)`` pixels a true class."""
    best = shares.argmax(1)
    hits = np.stack([truth[best == c].sum(0) for c in range(CLASSES)], 1)  # true c, argmax c
    right = np.diag(hits)
    iou = right / (hits.sum(0) + hits.sum(1) - right)
    log_loss = -(truth * np.log(np.maximum(shares, FLOOR))).sum() / truth.sum()
    distance = ((shares[:, None, :] - np.eye(CLASSES)) ** 2).sum(2)
    brier = (truth * distance).sum() / truth.sum()
    return right.sum() / hits.sum(), iou.mean(), log_loss, brier


def count_patterns(
    votes: np.ndarray, truth: np.ndarray, where: np.ndarray
) -> tuple[PatternCounts, np.ndarray]:
    """Patterns of ``(pixels, s)`` votes, and ``(k, c)`` pixels of each true class where they are to be judged."""
    codes, index, counts = np.unique(votes, axis=0, return_inverse=True, return_counts=True)
    judged = np.zeros((len(codes), CLASSES))
    np.add.at(judged, (index.ravel()[where], truth[where]), 1)
    return PatternCounts(codes.astype(np.int16), counts), judged


def sample_tables() -> None:
    landcover = prepare_nc_landcover().landcover
    truth = read_codes(landcover, Grid.of(landcover), CLASSES)
    rows, cols = truth.shape
    blocks = np.random.default_rng(1).random((rows // BLOCK + 1, cols // BLOCK + 1)) < 0.5
    validation = blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[:rows, :cols]
    for split, half in (("validation", validation), ("test", ~validation)):
        results: dict[str, list[tuple[float, ...]]] = {}
        links = 0
        for seed in SEEDS[split]:
            maps = make_products(truth, num_classes=CLASSES, seed=seed)
            votes = np.stack([codes.ravel() for codes in maps.values()], 1)
            patterns, judged = count_patterns(votes, truth.ravel(), (half & (truth >= 0)).ravel())
            links += len(learned_shares(patterns, CLASSES).links)
            for name, shares in contenders(patterns).items():
                results.setdefault(name, []).append(scores(shares(patterns.codes), judged))
        seeds = SEEDS[split]
        print(f"\nSample, {split} blocks, products of seeds {seeds[0]} to {seeds[-1]}; {links} links found\n")
        print("| " + " | ".join([*HEAD, "mIoU above equal votes, seeds"]) + " |\n" + "|---" * 6 + "|")
        equal = np.array(results["equal votes"])
        for name, values in results.items():
            mean, spread = np.mean(values, 0), np.std(values, 0)
            wins = int((np.array(values)[:, 1] > equal[:, 1]).sum())
            cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True)]
            print("| " + " | ".join([name, *cells, f"{wins} of {len(values)}"]) + " |")


def simulated(kind: str, rng: np.random.Generator, sources: int) -> tuple[PatternCounts, np.ndarray]:
    """A million pixels, as expected: patterns, and pixels of each true class."""
    codes = np.array(list(itertools.product(range(CLASSES), repeat=sources)), np.int16)
    prior = rng.dirichlet(np.full(CLASSES, 3.0)) + 0.03
    right = rng.uniform(0.55, 0.9, (sources, CLASSES, 1))
    errors = rng.dirichlet(np.full(CLASSES, 0.7), (sources, CLASSES))
    confusion = right * np.eye(CLASSES) + (1 - right) * errors

    def votes(tables: np.ndarray) -> list[np.ndarray]:
        return [table[:, codes[:, s]].T for s, table in enumerate(tables)]

    each = votes(confusion)
    if kind.startswith("copy"):
        share = float(kind.split()[1])
        each[1] = share * (codes[:, 0] == codes[:, 1])[:, None] + (1 - share) * each[1]
    joint = np.prod(each, 0)
    if kind == "together":  # of 30 % of the pixels every source sees another class, with 60 % probability
        misled = 0.4 * confusion + 0.6 * np.roll(np.eye(CLASSES), 1, 1)
        joint = 0.7 * joint + 0.3 * np.prod(votes(misled), 0)
    pixels = np.round(1e6 * joint * prior / prior.sum())
    seen = pixels.sum(1) > 0
    return PatternCounts(codes[seen], pixels[seen].sum(1).astype(np.int64)), pixels[seen]


def simulation_table(seeds: int) -> None:
    kinds = ("independent", "copy 0.2", "copy 0.4", "copy 0.8", "together")
    names = ("equal votes", *reversed(VARIANTS), "dawid-skene ^ 1")
    print(f"\nSimulated, 4 classes, mean of {seeds} draws of confusions: accuracy / log loss / links found\n")
    print("| sources | labels | " + " | ".join(kinds) + " |\n" + "|---" * (len(kinds) + 2) + "|")
    for sources in (4, 5):
        cells: dict[str, list[str]] = {name: [] for name in names}
        for kind in kinds:
            results: dict[str, list[tuple[float, ...]]] = {}
            links = []
            for seed in range(seeds):
                patterns, truth = simulated(kind, np.random.default_rng(seed), sources)
                links.append(len(learned_shares(patterns, CLASSES).links))
                for name, shares in contenders(patterns).items():
                    results.setdefault(name, []).append(scores(shares(patterns.codes), truth))
            for name in names:
                accuracy, _, log_loss, _ = np.mean(results[name], 0)
                found = f" / {np.mean(links):.1f}" if name == "shared-errors" else ""
                cells[name].append(f"{accuracy:.3f} / {log_loss:.3f}{found}")
        for name in names:
            print("| " + " | ".join([str(sources), name, *cells[name]]) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=6, help="of simulated confusions")
    options = parser.parse_args()
    sample_tables()
    simulation_table(options.draws)


if __name__ == "__main__":
    main()
