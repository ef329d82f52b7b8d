"""``coteach demo``: the whole job on real data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coteach.cli.output import say

if TYPE_CHECKING:
    from coteach.cli.variant_runs import Result

# Both chosen on validation blocks: all classes in each split, and products bad enough to leave a gap to close.
PRODUCT_SEED = 4
SPLIT_SEED = 88
_CLEAN = "E0 clean"


@click.command(epilog="Example: coteach demo --output-dir demo")
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for everything.",
)
@click.option(
    "--epochs", type=click.IntRange(1), default=12, show_default=True, help="Epochs of every variant."
)
@click.option("--seed", "seeds", type=int, multiple=True, default=(0,), show_default=True, help="Repeatable.")
def demo(output_dir: Path, epochs: int, seeds: tuple[int, ...]) -> None:
    """Train on imperfect land-cover maps in ten ways and compare them on held-out blocks.

    Real Landsat imagery and land cover; the maps err as real products do. The untouched land cover is used for
    the last row and for measuring only. It ends with a page to look at, report.html. Run again, it goes on where
    it was.
    """
    from coteach.cli.demo_labels import prepare_labels
    from coteach.cli.demo_runs import run_variants
    from coteach.cli.demo_table import write_results
    from coteach.cli.demo_variants import Budget, variants
    from coteach.cli.progress import track
    from coteach.files import write_json, write_text

    output_dir.mkdir(parents=True, exist_ok=True)
    labels = prepare_labels(output_dir, seed=PRODUCT_SEED, split_seed=SPLIT_SEED, say=say)
    rates = ", ".join(f"{name} {100 * rate:.1f} %" for name, rate in labels.error_rates.items())
    say(f"wrong pixels: {rates}")

    def done(result: Result) -> None:
        say(f"{result.variant:18} mIoU {result.accuracy['test'].mean_iou:.3f}   {result.seconds:5.1f} s")

    budget = Budget(epochs=epochs, e_warm=epochs / 3)
    with track(epochs * len(variants(budget)) * len(seeds), "epochs") as advance:
        results = run_variants(labels, budget, output_dir / "runs", seeds=seeds, done=done, advance=advance)
    _print_table(results)
    write_json(output_dir / "results.json", write_results(output_dir / "results.csv", results, labels))
    write_text(output_dir / "report.html", _report(results, labels.sample.landcover))
    say(f"written: {output_dir / 'results.csv'}, {output_dir / 'results.json'}")
    say(f"to look at: {output_dir / 'report.html'}")


def _print_table(results: Sequence[Result]) -> None:
    from coteach.cli.demo_table import SMALLEST_GAP, gap_closed, table_rows
    from coteach.report.tables import print_rows

    print_rows(table_rows(results), "Held-out blocks against the untouched land cover")
    shares = gap_closed(results)
    say(f"The gap between the best single product and the clean labels is {shares['gap']:.3f} mIoU.")
    if shares["gap"] >= SMALLEST_GAP:
        named = ", ".join(
            f"{name} {100 * shares[name]:.0f} %" for name in ("E0 majority vote", "E2", "CoT-Full")
        )
        say(f"Of it close: {named}.")


def _report(results: Sequence[Result], landcover: Path) -> str:
    """The page about all runs."""
    from coteach.cli.report_page import make_report
    from coteach.cli.report_runs import ReportOptions

    several = len({result.seed for result in results}) > 1
    names = {
        result.folder: result.variant + (f", seed {result.seed}" if several else "") for result in results
    }
    others = [result for result in results if result.variant != _CLEAN]
    best = max(others, key=lambda result: result.accuracy["test"].mean_iou)
    return make_report(
        list(names),
        ReportOptions(checkpoint="last", reference=landcover),
        names=list(names.values()),
        title="Ten ways to learn from imperfect land-cover maps",
        remark=(
            f"{_CLEAN} learned from the untouched land cover itself: the yardstick. Of those that saw imperfect maps "
            f"only, {names[best.folder]} has the highest mean IoU, {best.accuracy['test'].mean_iou:.3f}."
        ),
    )
