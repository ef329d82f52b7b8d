"""Pictures of a teacher's boxes on a few unlabelled images: which are kept, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from coteach.data.box_picture import draw_boxes
from coteach.files import whole_file, write_json
from coteach.legend import Color
from coteach.methods.detection_teacher import DetectionTeacher
from coteach.models.detector import see

PICTURES_FOLDER = "pseudo_boxes"
PICTURES_LIST = "pictures.json"
KEPT: Color = (0, 114, 178)
REFUSED: Color = (230, 159, 0)
TRUE: Color = (255, 255, 255)
_LONGEST_SIDE = 640  # pixels


class TeacherPanels(Callback):
    """Draws after an epoch: into the TensorBoard log, and as files of the run's folder, where the last ones stay.

    ``pseudo_boxes/0.png`` and so on, and ``pictures.json``: the epoch, and of each picture its image and how many boxes
    are kept, refused and, where that is known, true.

    Args:
        method: that is trained.
        dataset: the unlabelled images; one without ``plain(index)`` has no pictures.
        run_dir: the run's folder.
        count: number of images, spread evenly over the set, >= 1.
    """

    def __init__(self, method: DetectionTeacher, dataset: Any, run_dir: Path, count: int) -> None:
        self._method = method
        self._dataset = dataset
        self._folder = run_dir / PICTURES_FOLDER
        self._indices = sorted({round(i) for i in np.linspace(0, len(dataset) - 1, count)})

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, in the epochs that have a validation."""
        every = trainer.check_val_every_n_epoch or 1
        due = (trainer.current_epoch + 1) % every == 0
        if not (due and trainer.is_global_zero and hasattr(self._dataset, "plain")):
            return
        logs = [one for one in trainer.loggers if isinstance(one, TensorBoardLogger)]
        listed = []
        for place, index in enumerate(self._indices):
            picture, facts = self._draw(self._dataset.plain(index), pl_module.device)
            file = f"{place}.png"
            self._folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._folder / file) as partial:
                picture.save(partial, "PNG")
            listed.append({"file": file, **facts})
            for log in logs:
                name = f"train/pseudo_boxes_{place}"
                log.experiment.add_image(name, np.asarray(picture), trainer.global_step, dataformats="HWC")
        write_json(self._folder / PICTURES_LIST, {"epoch": trainer.current_epoch, "pictures": listed})

    @torch.no_grad()
    def _draw(self, sample: dict[str, Any], device: torch.device) -> tuple[Image.Image, dict[str, Any]]:
        """The picture, and what it shows: the truth below, then what is refused, and what is kept on top."""
        seen = see(self._method.networks["teacher"], [sample["image"].to(device)])
        [found] = self._method.candidates(seen)
        truth = sample.get("truth")
        kept = found.foreground.cpu()
        order = torch.cat([(~kept).nonzero()[:, 0], kept.nonzero()[:, 0]])
        boxes, labels, scores = (value.cpu()[order] for value in (found.boxes, found.labels, found.scores))
        colors = [KEPT if one else REFUSED for one in kept[order].tolist()]
        texts = [
            f"{self._name(label)} {s:.2f}" for label, s in zip(labels.tolist(), scores.tolist(), strict=True)
        ]
        if truth is not None:
            boxes = torch.cat([truth["boxes"], boxes])
            colors = [TRUE] * len(truth["boxes"]) + colors
            texts = [self._name(label) for label in truth["labels"].tolist()] + texts
        image = sample["image"]
        shown = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
        picture = draw_boxes(shown.numpy(), boxes.numpy(), colors, texts)
        picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        return picture, {
            "image": Path(str(sample.get("file_name", ""))).name,
            "kept": int(kept.sum()),
            "refused": int((~kept).sum()),
            "true": None if truth is None else len(truth["boxes"]),
        }

    def _name(self, label: int) -> str:
        names = getattr(self._dataset, "class_names", None)
        return str(names[label - 1]) if names else f"class {label}"
