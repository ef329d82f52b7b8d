"""The runs of a report: opened and checked together, measured one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coteach.cli.config import RunConfig
from coteach.cli.data_paths import Node
from coteach.cli.evaluate import check_one_reference, dataset_node, refuse_reference
from coteach.cli.evaluate_images import measure_images
from coteach.cli.evaluate_maps import measure, reference_of
from coteach.cli.runs import CONFIG_FILE, config_of, load_trained
from coteach.cli.targets import TargetResolver
from coteach.data.image_set import ImageSet
from coteach.data.scene import SceneImage
from coteach.data.soft_label import SoftLabelDataset
from coteach.errors import ConfigError
from coteach.methods.base import Method
from coteach.rasters.grid import Window
from coteach.report.comparison import MeasuredRun, unique_names
from coteach.report.logs import read_log
from coteach.report.views import LabelFiles
from coteach.training.checkpoints import checkpoint_path
from coteach.training.state import read_state

_WEIGHTS = "w_conf_path"  # where a build's tables name W_conf, whether the run uses it or not


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a report is about.

    Args:
        dataset: key of the data set in the configurations.
        checkpoint: ``best``, ``last`` or a file.
        reference: raster of true class codes, or None.
        reference_key: column of the data set's table with each row's reference, or None.
        bands: of the image, counted from 1; None goes by their number.
        max_tiles: images shown at most.
        view_size: pixels of an image shown at most, in height and width.
    """

    dataset: str = "test_dataset"
    checkpoint: str = "best"
    reference: Path | None = None
    reference_key: str | None = None
    bands: tuple[int, ...] | None = None
    max_tiles: int = 4
    view_size: int = 1024


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """A run that can be shown.

    Args:
        name: how the report calls it.
        folder: where it lies.
        config: its configuration.
        node: the data set that it is measured on.
        checkpoint: its weights.
        windows: image -> the windows that are counted in it.
        labels: image -> its soft label; without images whose data set has none.
        references: image -> its reference raster; None is the argmax of P_soft.
        num_images: images with one label each, which have no windows; 0 for maps.
    """

    name: str
    folder: Path
    config: RunConfig
    node: Node
    checkpoint: Path
    windows: Mapping[Path, list[Window]]
    labels: Mapping[Path, LabelFiles]
    references: Mapping[Path, Path | None]
    num_images: int = 0

    def measured(self, method: Method, options: ReportOptions, resolver: TargetResolver) -> MeasuredRun:
        """Its accuracy, by the counting of ``coteach evaluate``, and all else that is told of it."""
        dataset = resolver.build(self.node, "dataset", options.dataset)
        if self.num_images:
            accuracy = measure_images(method, dataset, class_names=self.config.class_names).accuracy
        else:
            accuracy = measure(
                method, dataset, reference=options.reference, reference_key=options.reference_key
            )
        return MeasuredRun(
            name=self.name,
            folder=self.folder,
            method=self.config.method,
            accuracy=accuracy,
            log=read_log(self.folder),
            state=read_state(self.folder),
            config=(self.folder / CONFIG_FILE).read_text(encoding="utf-8"),
        )

    def trained(self, resolver: TargetResolver) -> Method:
        """Its method with the weights of the checkpoint."""
        return load_trained(self.config, resolver, self.checkpoint)

    def scene(self, image: Path, resolver: TargetResolver) -> SceneImage:
        """An image as the run's networks take it."""
        transforms = [
            resolver.build(transform, "transform", "augmentation_list")
            for transform in self.node.get("augmentation_list") or ()
        ]
        return SceneImage(
            image, image_scale=self.node.get("image_scale"), augmentation_list=transforms or None
        )


def open_runs(
    folders: Sequence[Path], options: ReportOptions, resolver: TargetResolver, names: Sequence[str] | None
) -> list[OpenRun]:
    """Open all runs; one that cannot be shown is an error, before anything is measured.

    Args:
        folders: of the runs.
        options: what is to be shown of them.
        resolver: what targets are allowed.
        names: one a run; None calls them by their folders.

    Raises:
        ConfigError: a folder holds no run or lacks the data set, or the runs differ in their number of classes.
        TrainingError: a run has no such checkpoint.
        TableError, RasterError: the data is missing.
    """
    check_one_reference(options.reference, options.reference_key)
    runs = [
        _open(folder, name, options, resolver)
        for folder, name in zip(folders, names or unique_names(folders), strict=True)
    ]
    for run in runs[1:]:
        if run.config.num_classes != runs[0].config.num_classes:
            cause = f"has {run.config.num_classes} classes, {runs[0].folder} has {runs[0].config.num_classes}"
            raise ConfigError(str(run.folder), cause, "report runs of the same classes together")
        if (run.num_images > 0) != (runs[0].num_images > 0):
            cause = f"one of it and {runs[0].folder} classifies images, the other makes maps"
            raise ConfigError(str(run.folder), cause, "report runs of one kind together")
    return runs


def _open(folder: Path, name: str, options: ReportOptions, resolver: TargetResolver) -> OpenRun:
    config = config_of(folder)
    node = dataset_node(config, options.dataset, str(folder / CONFIG_FILE))
    checkpoint = checkpoint_path(folder, options.checkpoint)
    dataset = resolver.build(node, "dataset", options.dataset)
    windows: dict[Path, list[Window]] = {}
    labels: dict[Path, LabelFiles] = {}
    references: dict[Path, Path | None] = {}
    num_images = 0
    if isinstance(dataset, ImageSet):
        refuse_reference(options.reference, options.reference_key)
        num_images = len(dataset)
    for index in range(0 if num_images else len(dataset)):
        named, window = dataset.location(index)
        image = named.resolve()  # tables in several folders name the same image differently
        if image not in windows:
            references[image] = reference_of(named, dataset, options.reference, options.reference_key)
            if isinstance(dataset, SoftLabelDataset):
                labels[image] = _label_files(dataset, index, node)
        windows.setdefault(image, []).append(window)
    return OpenRun(
        name=name,
        folder=folder,
        config=config,
        node=node,
        checkpoint=checkpoint,
        windows=windows,
        labels=labels,
        references=references,
        num_images=num_images,
    )


def _label_files(dataset: SoftLabelDataset, index: int, node: Node) -> LabelFiles:
    p_soft = dataset.path_of(index, node.get("p_soft_key", "p_soft_path"))
    key = node.get("w_conf_key") or _WEIGHTS
    named = dataset.rows[index].get(key, "").strip()
    folder = p_soft.resolve().parent.parent  # tables name it as ../p_soft
    return LabelFiles(folder.name, p_soft, dataset.path_of(index, key) if named else None)
