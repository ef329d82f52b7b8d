"""What the labels of a detector mean: names and categories, and whether other annotations mean the same."""

from __future__ import annotations

from collections.abc import Sequence

from coteach.cli.config import RunConfig
from coteach.data.coco import image_order, load_coco
from coteach.data.detection_boxes import Annotations
from coteach.errors import ConfigError, CoteachError


def check_box_classes(
    source: str, found: Sequence[str], class_names: Sequence[str] | None, num_classes: int
) -> None:
    """Refuse annotations whose labels mean other classes than in training.

    Args:
        source: the file, for the error.
        found: names of its classes, label 1 first.
        class_names: of the run; None does not compare them.
        num_classes: of the run.

    Raises:
        ConfigError: their number differs, or only some of the names are the run's, or they are in another order. If none
            is, the configuration has names of its own for them.
    """
    remedy = "give the categories that the run was trained with"
    if len(found) != num_classes:
        cause = f"has {len(found)} classes ({', '.join(found[:10])}), the run has {num_classes}"
        raise ConfigError(source, cause, remedy)
    known = list(class_names or found)
    if list(found) == known or not set(found) & set(known):
        return
    label = next(label for label, name in enumerate(found, 1) if name != known[label - 1])
    cause = f"has {found[label - 1]!r} as class {label}, the run was trained with {known[label - 1]!r}"
    raise ConfigError(source, cause, remedy)


def categories_of(config: RunConfig, annotations: Annotations) -> tuple[int | str, ...]:
    """The ids that results give to labels 1, 2, ...

    Those of the annotations; without any, those of the file that the run was trained on, if it is still there; else the
    labels themselves.

    Raises:
        ConfigError: the annotations mean other classes than the run.
    """
    if annotations.category_ids:
        source = str(annotations.source)
        check_box_classes(source, annotations.class_names, config.class_names, config.num_classes)
        return annotations.category_ids
    labels = tuple(range(1, config.num_classes + 1))
    try:
        entries = load_coco(str(config.train_dataset.get("annotations", "")))["categories"]
    except (CoteachError, OSError):
        return labels
    ids = sorted((entry["id"] for entry in entries), key=image_order)
    return tuple(ids) if len(ids) == config.num_classes else labels
