"""What ``import coteach`` offers, and what it costs."""

import subprocess
import sys

import pytest

import coteach

PUBLIC = {
    "ArrayDataset",
    "CoTeaching",
    "CoTeachingLoss",
    "CoTeachingPlus",
    "CocoDetectionDataset",
    "CoteachError",
    "CurriculumScheduler",
    "DivideMix",
    "Elr",
    "ImageFolderDataset",
    "ImageTableDataset",
    "JoCoR",
    "MBTilesSoftLabelMaskWindowedDataset",
    "Method",
    "PeerEnsemble",
    "SharedBatches",
    "SoftLabel",
    "SoftLabelCachedDataset",
    "SoftLabelDataset",
    "SoftLabelWeightedCELoss",
    "SoftLabelWindowedDataset",
    "SoftTeacher",
    "Supervised",
    "SupervisedDetection",
    "UnbiasedTeacher",
    "VocDetectionDataset",
    "__version__",
    "audit",
    "build_soft_labels",
    "confidence_weight",
    "estimate_keep_ratio",
    "fit",
    "freed_memory_kept",
    "generate_training_csv",
    "keep_freed_memory",
    "out_of_fold",
    "select_indices",
    "select_small_loss",
    "vote_shares",
}


def test_the_surface_is_this_and_each_name_imports():
    assert set(coteach.__all__) == PUBLIC
    assert all(getattr(coteach, name) is not None for name in PUBLIC)
    assert set(dir(coteach)) == PUBLIC


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="SoftLabelDatast"):
        _ = coteach.SoftLabelDatast


def loaded_by(statement):
    code = f"{statement}; import sys; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_the_package_imports_nothing_heavy():
    assert not {"numpy", "torch", "rasterio", "lightning", "click"} & loaded_by("import coteach")


def test_help_imports_nothing_heavy():
    heavy = {"numpy", "torch", "rasterio", "lightning", "hydra", "scipy", "albumentations"}
    statement = "import contextlib; from coteach.cli.main import cli\nwith contextlib.suppress(SystemExit): cli(['--help'])\npass"
    assert not heavy & loaded_by(statement.replace("\npass", "\n0"))


def test_help_of_every_command_has_an_example():
    from click.testing import CliRunner

    from coteach.cli.main import _COMMANDS, cli

    for name in _COMMANDS:
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0, name
        assert f"coteach {name}" in result.output, name


def test_version_and_exit_codes():
    def run(*args):
        return subprocess.run(
            [sys.executable, "-m", "coteach.cli.main", *args], capture_output=True, text=True, check=False
        )

    assert coteach.__version__ in run("--version").stdout
    failed = run("train", "nowhere.yaml")
    assert failed.returncode == 1
    assert "nowhere.yaml" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "Traceback" in run("--debug", "train", "nowhere.yaml").stderr
    assert run("trian").returncode == 2
