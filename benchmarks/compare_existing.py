"""Small experiments with other packages and with coteach: what does each do with the same input?

Makes a virtual environment in --env with the other packages (some 7 GB, Python 3.12 or newer) unless it is there, runs
compare_existing_theirs.py in it, does the same with coteach in this one, prints the table and writes it to --output.
Ends with exit code 1 if coteach misses an expected value or another package no longer behaves as docs/comparison.md says.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

import coteach
from compare_existing_inputs import make_arrays, make_rasters
from compare_existing_ours import Value, our_values

INSTALL = (
    ["pytorch-segmentation-models-trainer==1.4.0", "cleanlab==2.9.0", "mmengine==0.10.7"],
    ["--no-deps", "mmdet==3.3.0"],  # its mmcv is a compiled extension; the modules looked at do without
)
NOT_COMPARED = "not compared"
CLEANLAB = "cleanlab 2.9.0, `experimental.coteaching`"
SMT = "pytorch-segmentation-models-trainer 1.4.0"
MMDET = "mmdetection 3.3.0"


@dataclass(frozen=True)
class Claim:
    """What is measured, what should come out, and whether the other package is known to give the same.

    Its mean over many random pixels may differ from ``expected`` by ``tolerance``.
    """

    key: str
    text: str
    expected: Value
    percent: bool = False
    same: bool = False
    tolerance: float = 1e-5


CLAIMS = {
    CLEANLAB: (
        Claim("mean", "`loss_coteaching`, 64 items, none forgotten: loss / mean cross-entropy", 1.0),
        Claim("few", "`loss_coteaching`, 4 items, forget rate 0.8: the loss is a number", True),
        Claim("class_weight", "`class_weights` 1 and 4, equally difficult classes: share of the 2nd in the selection", 0.5, percent=True),
        Claim("jump", "`forget_rate_scheduler`, rate 0.4, 10 epochs, exponent 2: largest step (ours: linear only)", 0.4 / 9),
        Claim("cpu", "`train` without CUDA (ours: a loop of one's own)", "trains"),
        Claim("top5", "`train` with three classes, `.cuda()` made harmless (ours: the same loop)", "trains"),
    ),
    SMT: (
        Claim("equal", "`curriculum_mask`, epoch 0, all weights equal: share kept", 0.5, percent=True),
        Claim("unanimous", "`curriculum_mask`, epoch 0, 70 % of the weights are 1: share kept", 0.5, percent=True),
        Claim("no_gradient", "`CoTeachingLoss.compute` on the same weights: is there any gradient", True),
        Claim("masked_chosen", "share of the pixels outside the curriculum that count as low-loss (epoch 10)", 0.0, percent=True),
        Claim("forgotten", "share of the admitted pixels that is forgotten at R = 15 %", 0.15, percent=True, tolerance=0.001),
        Claim("doubtful", "R = 30 %, loss independent of W_conf: share kept of the less confident half", 0.7, percent=True, tolerance=0.02),
        Claim("gap_weight", "W_conf where no source votes (entropy part)", 0.0),
        Claim("gap_quota", "R = 30 %, as many pixels without a vote as of class 0: share kept of class 0", 0.7, percent=True, tolerance=0.001),
        Claim("reg_both", "the neighbourhood term trains both networks (a choice: the paper has one sum)", True),
        Claim("weighted_mean", "`SoftLabelWeightedCELoss`, all weights 0.5: loss / unweighted (the default of both)", 0.5, same=True),
        Claim("w_conf", "mean W_conf of a tile that both maps cover", "as theirs", same=True),
        Claim("nodata_sum", "sum of P_soft where one of two maps holds its NoData code 255", 1.0),
        Claim("uncovered", "P_soft of class 0, which no map holds, where one of two maps does not reach", 0.0),
        Claim("covered", "patches of 32 in an image of 100 x 100: share of its pixels in a patch", 1.0, percent=True),
        Claim("remade", "tiles written again by a second, unchanged `build-soft-labels`, of 3", 0.0),
        Claim("exit_code", "exit code of `build-soft-labels` when a tile fails", 1.0),
        Claim("leak", "default split, patches overlapping by half: share of test patches that overlap a training patch", 0.0, percent=True),
        Claim("scale", "data set, the value 1 in a dark uint8 image / in a bright one", 1.0),
        Claim("normalize", "data set with `Normalize(mean=0.5, std=0.25)`: the value 255 becomes", 2.0),
        Claim("schedule", "learning rate 0.1, `ExponentialLR(0.1)`, after 2 epochs of co-teaching", 0.001),
        Claim("clip", "co-teaching with `gradient_clip_val`", "trains"),
        Claim("accumulate", "co-teaching with `accumulate_grad_batches`", "trains"),
    ),
    MMDET: (
        Claim("buffers", "`MeanTeacherHook()` with momentum 1: BatchNorm mean of the teacher / the student", 1.0),
        Claim("box", "`bbox_project` by 30° and back: area of the box / its area before", 1.0),
        Claim("sampler", "`GroupMultiSourceSampler`, one source without portrait images", "goes on"),
        Claim("split", "`split_coco.py`: share of the images labelled at 10 %", 0.1, percent=True),
    ),
}  # fmt: skip


def make_environment(env: Path, python: str) -> Path:
    """The interpreter that has the other packages; installs them into ``env`` the first time."""
    interpreter, done = env / "bin" / "python", env / "installed.json"
    if not done.exists():
        version = subprocess.check_output(
            [python, "-c", "import sys; print(*sys.version_info[:2])"], text=True
        )
        if tuple(map(int, version.split())) < (3, 12):
            sys.exit(
                f"--python: {python} is too old for pytorch-segmentation-models-trainer; give 3.12 or newer"
            )
        subprocess.run([python, "-m", "venv", str(env)], check=True)
        for packages in INSTALL:
            subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *packages], check=True)
        done.write_text(json.dumps(INSTALL))
    return interpreter


def leaked_share(splits: Path) -> float:
    """Share of the test patches that overlap a patch of the training table."""

    def patches(name: str) -> list[tuple[str, int, int]]:
        with (splits / f"{name}.csv").open(newline="") as stream:
            return [
                (row["tile_id"], int(row["row_off"]), int(row["col_off"])) for row in csv.DictReader(stream)
            ]

    train = patches("train")
    test = patches("test")
    overlapping = [
        any(tile == other and abs(row - r) < 64 and abs(col - c) < 64 for other, r, c in train)
        for tile, row, col in test
    ]
    return sum(overlapping) / len(test)


def their_values(interpreter: Path, inputs: Path, work: Path) -> tuple[dict[str, Value], dict[str, str]]:
    """Run the other packages, without a GPU; values and versions."""
    output = work / "theirs.json"
    script = Path(__file__).with_name("compare_existing_theirs.py")
    quiet = os.environ | {"CUDA_VISIBLE_DEVICES": "", "NO_ALBUMENTATIONS_UPDATE": "1"}
    subprocess.run(
        [str(interpreter), str(script), str(inputs), str(output)], check=True, env=quiet, stdout=sys.stderr
    )
    result = json.loads(output.read_text())
    return result["values"], result["versions"]


def shown(value: Value, *, percent: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{100 * value:.1f} %" if percent else f"{value:.4g}"


def close(value: Value, expected: Value, tolerance: float) -> bool:
    """Equal as far as random numbers and rounding allow."""
    if isinstance(value, str) or isinstance(expected, str | bool):
        return value == expected
    return abs(value - expected) <= tolerance


def table(theirs: dict[str, Value], ours: dict[str, Value]) -> tuple[list[str], list[str]]:
    """Markdown lines, and what came out otherwise than docs/comparison.md says."""
    lines, surprises = [], []
    for package, claims in CLAIMS.items():
        lines += [f"## {package}", "", "| claim | theirs | ours | expected |", "|---|---|---|---|"]
        for claim in claims:
            expected = theirs[claim.key] if claim.expected == "as theirs" else claim.expected
            own = ours.get(claim.key, NOT_COMPARED)
            cells = [shown(value, percent=claim.percent) for value in (theirs[claim.key], own, expected)]
            lines.append(f"| {claim.text} | " + " | ".join(cells) + " |")
            if own != NOT_COMPARED and not close(own, expected, claim.tolerance):
                surprises.append(f"coteach: {claim.text}: {cells[1]}")
            if close(theirs[claim.key], expected, claim.tolerance) != claim.same:
                surprises.append(f"{package}: no longer as described: {claim.text}: {cells[0]}")
        lines.append("")
    return lines, surprises


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--env", type=Path, required=True, help="folder of the other packages' virtual environment"
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter to make it with, 3.12 or newer")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/compare_existing.md"))
    options = parser.parse_args()
    interpreter = make_environment(options.env, options.python)
    with tempfile.TemporaryDirectory() as folder:
        work, inputs = Path(folder), Path(folder) / "inputs"
        inputs.mkdir()
        make_arrays(inputs)
        make_rasters(inputs)
        theirs, versions = their_values(interpreter, inputs, work)
        ours = our_values(inputs, work / "ours")
        theirs["leak"], ours["leak"] = (leaked_share(Path(str(v.pop("splits")))) for v in (theirs, ours))
    lines, surprises = table(theirs, ours)
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    head = f"""# coteach beside existing packages

Printed by `benchmarks/compare_existing.py`; [docs/comparison.md](../comparison.md) explains the rows. Theirs: {names}.
Ours: coteach {coteach.__version__}, torch {torch.__version__}, Python {platform.python_version()}, on the CPU.
"""
    text = "\n".join([head, *lines]).rstrip() + "\n"
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    if surprises:
        sys.exit("\n".join(surprises))


if __name__ == "__main__":
    main()
