"""``coteach demo``: the whole job on real data."""

from __future__ import annotations

from pathlib import Path

import click

# Both chosen on validation blocks: all classes in each split, and products bad enough to leave a gap to close.
PRODUCT_SEED = 4
SPLIT_SEED = 88


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
    the last row and for measuring only. Run again, it goes on where it was.
    """
    from coteach.cli.demo_labels import prepare_labels
    from coteach.cli.demo_runs import Budget, Result, run_variants
    from coteach.cli.demo_table import SMALLEST_GAP, gap_closed, table_rows, write_results
    from coteach.files import write_json
    from coteach.report.tables import print_rows

    output_dir.mkdir(parents=True, exist_ok=True)
    labels = prepare_labels(output_dir, seed=PRODUCT_SEED, split_seed=SPLIT_SEED, say=click.echo)
    rates = ", ".join(f"{name} {100 * rate:.1f} %" for name, rate in labels.error_rates.items())
    click.echo(f"wrong pixels: {rates}")

    def done(result: Result) -> None:
        click.echo(
            f"{result.variant:18} mIoU {result.accuracy['test'].mean_iou:.3f}   {result.seconds:5.1f} s"
        )

    budget = Budget(epochs=epochs, e_warm=epochs / 3)
    results = run_variants(labels, budget, output_dir / "runs", seeds=seeds, done=done)
    rows = table_rows(results)
    print_rows(rows, "Held-out blocks against the untouched land cover")
    shares = gap_closed(results)
    click.echo(f"The gap between the best single product and the clean labels is {shares['gap']:.3f} mIoU.")
    if shares["gap"] >= SMALLEST_GAP:
        named = ", ".join(
            f"{name} {100 * shares[name]:.0f} %" for name in ("E0 majority vote", "E2", "CoT-Full")
        )
        click.echo(f"Of it close: {named}.")
    write_json(output_dir / "results.json", write_results(output_dir / "results.csv", results, labels))
    click.echo(f"written: {output_dir / 'results.csv'}, {output_dir / 'results.json'}")
