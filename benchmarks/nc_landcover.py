"""The demo's variants with longer training and three seeds, measured on validation and test blocks.

Writes docs/benchmarks/nc_landcover.{md,json}. Choices are to be made on the validation table; the test table is what
is reported.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from coteach.cli.demo import PRODUCT_SEED, SPLIT_SEED
from coteach.cli.demo_labels import prepare_labels
from coteach.cli.demo_runs import Result, run_variants
from coteach.cli.demo_table import gap_closed, table_rows, write_results
from coteach.cli.demo_variants import Budget
from coteach.files import write_json
from coteach.report.tables import print_rows


def markdown(rows: list[dict[str, str]]) -> str:
    """Rows as a Markdown table."""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *["| " + " | ".join(row.values()) + " |" for row in rows]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--work-dir", type=Path, default=Path("runs/bench_nc_landcover"), help="resumed if it is there"
    )
    parser.add_argument("--output-dir", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    options.work_dir.mkdir(parents=True, exist_ok=True)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    labels = prepare_labels(options.work_dir, seed=PRODUCT_SEED, split_seed=SPLIT_SEED, say=print)

    def done(result: Result) -> None:
        print(
            f"{result.variant:18} seed {result.seed}  val {result.accuracy['val'].mean_iou:.4f}  {result.seconds:.0f} s"
        )

    budget = Budget(epochs=options.epochs, e_warm=options.epochs / 3)
    results = run_variants(
        labels, budget, options.work_dir / "runs", seeds=options.seeds, splits=("val", "test"), done=done
    )
    parts = [f"# North Carolina land cover: {options.epochs} epochs, seeds {options.seeds}\n"]
    parts.append(
        "Wrong pixels: " + ", ".join(f"{n} {100 * r:.1f} %" for n, r in labels.error_rates.items()) + ".\n"
    )
    for split in ("val", "test"):
        rows = table_rows(results, split)
        print_rows(rows, split)
        gap = gap_closed(results, split)["gap"]
        parts.append(f"## {split} blocks (gap {gap:.3f} mIoU)\n\n{markdown(rows)}\n")
    (options.output_dir / "nc_landcover.md").write_text("\n".join(parts))
    csv_file = options.output_dir / "nc_landcover.csv"
    write_json(options.output_dir / "nc_landcover.json", write_results(csv_file, results, labels))


if __name__ == "__main__":
    main()
