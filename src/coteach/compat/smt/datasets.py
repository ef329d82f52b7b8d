"""Data sets, their loaders and their augmentation: old keys -> those of this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coteach.compat.smt.ledger import Ledger, Section
from coteach.errors import TableError
from coteach.tables import read_table

PACKAGE = "pytorch_segmentation_models_trainer"
_SOFT = ("input_csv_path", "image_key", "p_soft_key", "w_conf_key")
_CONFIDENCE = ("num_classes", "alpha", "use_border", "entropy_norm", "border_radius")
# Old class -> ours and the keys that mean the same there; beside them all take _OURS.
_DATASETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "soft_label_dataset.SoftLabelDataset": ("SoftLabelDataset", _SOFT),
    "soft_label_windowed_dataset.SoftLabelWindowedDataset": (
        "SoftLabelWindowedDataset",
        (*_SOFT, "row_off_key", "col_off_key", "patch_size_key"),
    ),
    "soft_label_cached_dataset.SoftLabelCachedDataset": (
        "SoftLabelCachedDataset",
        (
            *_CONFIDENCE,
            "sources_csv",
            "cache_dir",
            "image_key",
            "mask_key",
            "lulc_keys",
            "patch_size",
            "patch_stride",
            "windows_csv",
            "windows_coord_type",
        ),
    ),
    "mbtiles_soft_label_dataset.MBTilesSoftLabelMaskWindowedDataset": (
        "MBTilesSoftLabelMaskWindowedDataset",
        (
            *_CONFIDENCE,
            "mbtiles_path",
            "mask_dir",
            "mask_paths",
            "window_index_cache",
            "patch_size",
            "image_resampling",
            "selected_bands",
            "lulc_paths",
            "lulc_legends",
            "windows_csv",
            "return_w_conf",
        ),
    ),
}
_OURS = ("image_scale", "in_memory")  # options of this package that an old file may have been given since
_NORMALIZED_TO = (255, 65535)


def translate_dataset(section: Section) -> dict[str, Any]:
    """The node of a data set, without its loader, which must have been taken.

    Args:
        section: ``train_dataset``, ``val_dataset`` or ``test_dataset``.
    """
    target = str(section.take("_target_", ""))
    known = _DATASETS.get(target.removeprefix(f"{PACKAGE}.dataset_loader."))
    if known is None:
        section.ledger.refuse_target(section.place, target or "missing")
        return {}
    name, keys = known
    node: dict[str, Any] = {"_target_": f"coteach.{name}"}
    given = {key: section.take(key) for key in (*keys, *_OURS)}
    node |= {key: value for key, value in given.items() if value is not None}
    if name == "SoftLabelCachedDataset":
        node.setdefault("patch_size", None)  # whole tiles, unless the file says otherwise
    if name == "MBTilesSoftLabelMaskWindowedDataset":
        _windows_of_masks(section, node)
    transforms = _transforms(
        section.listed("augmentation_list"), section.path("augmentation_list"), section.ledger
    )
    if transforms:
        node["augmentation_list"] = transforms
    section.ignore(
        "the network is told how its images are normalised by augmentation_list alone", "norm_params"
    )
    section.close()
    return node


def _windows_of_masks(section: Section, node: dict[str, Any]) -> None:
    """The windows on masks: their stride, and the file that keeps them, which is a JSON file here."""
    stride = section.take("stride")
    if stride is not None:
        node["patch_stride"] = stride
    index = Path(str(node.get("window_index_cache", "")))
    if index.suffix not in (".csv", ".parquet"):
        return
    place = section.path("window_index_cache")
    if index.exists():  # of all windows there are, it may name a few: those of a split, or a selection
        _listed_windows(section, node, index)
        return
    node["window_index_cache"] = str(index.with_suffix(".json"))
    section.ledger.note(place, f"{index} is not there; windows are kept in {node['window_index_cache']}")


def _listed_windows(section: Section, node: dict[str, Any], index: Path) -> None:
    """A list of windows that is there, in pixels."""
    place, needed = section.path("window_index_cache"), ("mask_path", "row_off", "col_off")
    if index.suffix != ".csv":
        section.ledger.refuse(place, f"{index} is no CSV; write its {', '.join(needed)} into one")
        return
    try:
        read_table(index).require(*needed)
    except TableError as error:
        section.ledger.refuse(place, f"{index}: {error.cause}; a list has {', '.join(needed)}")
        return
    del node["window_index_cache"]
    node["windows_csv"] = str(index)
    section.ledger.note(place, f"windows_csv, the windows that {index} lists")


def _transforms(nodes: list[Any], place: str, ledger: Ledger) -> list[Any]:
    """Transforms as albumentations 2 and images in [0, 1] need them."""
    kept = []
    for index, node in enumerate(nodes):
        where = f"{place}[{index}]"
        if not isinstance(node, Mapping):
            ledger.refuse(where, f"is {node!r}, not a transform")
        elif not str(node.get("_target_", "")).endswith(
            ".ToTensorV2"
        ):  # the data sets make tensors themselves
            kept.append(_transform(dict(node), where, ledger))
    return kept


def _transform(node: dict[str, Any], place: str, ledger: Ledger) -> dict[str, Any]:
    if node.pop("always_apply", False):
        node["p"] = 1.0
    if str(node.get("_target_", "")).endswith(".Normalize"):
        if node.get("max_pixel_value", 1.0) in _NORMALIZED_TO:
            ledger.note(f"{place}.max_pixel_value", "1.0, since images are scaled to [0, 1] before")
            del node["max_pixel_value"]
        node.setdefault("max_pixel_value", 1.0)
    if isinstance(node.get("transforms"), list):
        node["transforms"] = _transforms(node["transforms"], f"{place}.transforms", ledger)
    return node


def translate_loader(section: Section, batch_size: Any) -> dict[str, Any]:
    """``data_loader`` of the training set -> the loader of the run.

    Args:
        section: ``train_dataset.data_loader``.
        batch_size: ``hyperparameters.batch_size``, which that package goes by; None where it is missing.
    """
    own = section.take("batch_size")
    if own is not None and batch_size is not None and own != batch_size:
        section.ledger.note(
            section.path("batch_size"), f"hyperparameters.batch_size, {batch_size}, goes before"
        )
    loader = {"batch_size": own if batch_size is None else batch_size}
    loader |= {key: section.take(key) for key in ("num_workers", "pin_memory", "drop_last")}
    section.expect("shuffle", (True,), "the training set is shuffled always")
    _ignore_rest(section)
    return {key: value for key, value in loader.items() if value is not None}


def note_loader(section: Section, loader: Mapping[str, Any]) -> None:
    """Say what becomes of the loader of ``val_dataset`` or ``test_dataset``: it is that of training, in order.

    Args:
        section: its ``data_loader``.
        loader: of the run.
    """
    own = {key: section.take(key) for key in ("batch_size", "num_workers", "pin_memory")}
    others = [f"{key} {value}" for key, value in own.items() if value not in (None, loader.get(key))]
    if others:
        section.ledger.note(section.place, f"loaded as the training set is ({', '.join(others)} left out)")
    if section.take("shuffle", default=False):
        section.ledger.note(section.path("shuffle"), "validation goes in order")
    if section.take("drop_last", default=False):
        section.ledger.note(section.path("drop_last"), "every sample is counted")
    _ignore_rest(section)


def _ignore_rest(section: Section) -> None:
    section.ignore(
        "workers stay alive and fetch ahead as PyTorch decides", "persistent_workers", "prefetch_factor"
    )
    section.close()
