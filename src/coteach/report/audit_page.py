"""The audit of a run's labels -> one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from PIL import Image

from coteach import __version__
from coteach.report.label_audit import LabelAudit
from coteach.report.pictures import data_uri, photo_picture
from coteach.report.templating import environment

_MOST_CLASSES = 25  # whose whole confusion matrix is shown
_MOST_PAIRS = 12
_SIDE = 128  # pixels; greatest side of a thumbnail


@dataclass(frozen=True, slots=True)
class Suspect:
    """An item of the gallery.

    Args:
        item: its id.
        path: its file; empty if it is none.
        uri: the thumbnail as a data URI; empty if there is none.
        trouble: why there is none.
    """

    item: int
    path: str
    uri: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Labels of one class that probably belong to another.

    Args:
        true: name of the probable class.
        given: name of the label.
        count: expected number of items.
        share: of the items that are probably ``true``.
    """

    true: str
    given: str
    count: float
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditPage:
    """What goes into the page.

    Args:
        title: its heading.
        audit: of the labels.
        names: one a class.
        suspects: the gallery, the most probably wrong first.
        facts: (what, how it was).
        table: name of the CSV with all items.
        command: how the page was asked for.
        folds: how many times networks were trained without the images that they judged; None for not at all.
    """

    title: str
    audit: LabelAudit
    names: Sequence[str]
    suspects: Sequence[Suspect]
    facts: Sequence[tuple[str, str]]
    table: str
    command: str
    folds: int | None = None


def render_audit(page: AuditPage) -> str:
    """The page as HTML; all text in it is escaped."""
    quality = page.audit.quality
    return (
        environment()
        .get_template("audit.html")
        .render(
            page=page,
            audit=page.audit,
            alternative=page.audit.alternative,
            confusions=confusions(quality.joint, page.names)[:_MOST_PAIRS],
            matrix=quality.joint if len(page.names) <= _MOST_CLASSES else None,
            transition=quality.transition,
            version=__version__,
        )
    )


def confusions(joint: np.ndarray, names: Sequence[str]) -> list[Confusion]:
    """Pairs of classes by how many labels were probably confused, the most frequent first; fewer than 0.5 left out.

    Args:
        joint: ``(C, C)`` expected number of items by true class and label.
        names: one a class.
    """
    found = [
        Confusion(names[true], names[given], float(count), float(count / joint[true].sum()))
        for (true, given), count in np.ndenumerate(joint)
        if true != given and count >= 0.5
    ]
    return sorted(found, key=lambda one: -one.count)


def suspect(item: int, image: Float32[np.ndarray, "bands h w"], path: str) -> Suspect:
    """An item with its thumbnail.

    Args:
        item: its id.
        image: as a network sees it. In [0, 1] it is drawn as it is, else stretched; of more than three bands the
            first three are shown.
        path: its file; empty if it is none.
    """
    bands = image[:3] if len(image) >= 3 else image[:1]
    if bands.min() >= 0 and bands.max() <= 1:
        levels = (255 * bands).round().astype(np.uint8)
        picture = Image.fromarray(levels.transpose(1, 2, 0) if len(levels) == 3 else levels[0])
    else:
        picture = photo_picture(bands, np.ones(bands.shape[1:], bool))
    picture.thumbnail((_SIDE, _SIDE))
    return Suspect(item, path, data_uri(picture))
