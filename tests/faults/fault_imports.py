"""What commands import when they need it: imported here, once for all their forks."""

from importlib import import_module

BUILDING = ("coteach.rasters.build", "coteach.cli.soft_labels", "coteach.cli.build_page")
TRAINING = (
    *("coteach.cli.train", "coteach.cli.runs", "coteach.training.run", "coteach.training.inference"),
    *("coteach.methods.soft_teacher", "coteach.data.soft_label"),
    *("albumentations", "hydra", "tensorboard.summary.writer.event_file_writer", "torch.utils.tensorboard"),
)


def import_all(*names: str) -> None:
    """Import modules by their names."""
    for name in names:
        import_module(name)
