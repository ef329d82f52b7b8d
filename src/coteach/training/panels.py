"""Pictures in the TensorBoard log: a few validation images, each beside its label and the prediction."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from coteach.legend import Legend
from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.label_method import LabelMethod

_SHOWN_BANDS = 3
_LONGEST_SIDE = 256  # pixels; larger images are thinned, or the log would grow large


class ImagePanels(Callback):
    """Adds ``val/panel_0`` and so on to the TensorBoard log after every validation.

    Args:
        dataset: the validation set; one without ``plain(index)`` or without maps of labels has no panels.
        legend: colours of the classes.
        count: number of samples, spread evenly over the set, >= 1.
    """

    def __init__(self, dataset: Any, legend: Legend, count: int) -> None:
        self._dataset = dataset
        self._colors = np.array([*legend.colors, (0, 0, 0)], np.uint8)  # the last is for no label, -1
        self._indices = sorted({round(i) for i in np.linspace(0, len(dataset) - 1, count)})

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the panels; the networks are in evaluation mode."""
        method = getattr(pl_module, "method", None)
        logs = [one for one in trainer.loggers if isinstance(one, TensorBoardLogger)]
        if not trainer.is_global_zero or not isinstance(method, LabelMethod) or not logs:
            return
        for place, index in enumerate(self._indices if hasattr(self._dataset, "plain") else ()):
            panel = self._panel(method, self._dataset.plain(index), pl_module.device)
            if panel is not None:
                logs[0].experiment.add_image(
                    f"val/panel_{place}", panel, trainer.global_step, dataformats="HWC"
                )

    def _panel(self, method: LabelMethod, sample: Any, device: torch.device) -> np.ndarray | None:
        """Image, label and prediction side by side, ``(h, 3 w, 3)`` uint8; None where labels are no maps."""
        if not isinstance(sample, dict) or not isinstance(sample["image"], Tensor):
            return None
        labels = sample["mask"]
        batched = (
            {key: value[None] for key, value in labels.items()} if isinstance(labels, dict) else labels[None]
        )
        target = as_soft_target(batched, method.num_classes)
        with torch.no_grad():
            predicted = hard_label(method.predict(sample["image"][None].to(device)).float().cpu())[0]
        if predicted.ndim != 2:
            return None
        label = torch.where(target.valid, hard_label(target.probs), -1)[0]
        step = -(-max(predicted.shape) // _LONGEST_SIDE)
        parts = [natural_color(sample["image"].numpy()), self._map(label), self._map(predicted)]
        panel: np.ndarray = np.concatenate([part[::step, ::step] for part in parts], axis=1)
        return panel

    def _map(self, classes: Int[Tensor, "h w"]) -> np.ndarray:
        drawn: np.ndarray = self._colors[classes.numpy()]
        return drawn


def natural_color(image: Float32[np.ndarray, "bands h w"]) -> np.ndarray:
    """The first three bands (of fewer, the first as grey), each stretched from its 2nd to its 98th percentile.

    Returns:
        ``(H, W, 3)`` uint8.
    """
    shown = image[:_SHOWN_BANDS] if len(image) >= _SHOWN_BANDS else np.repeat(image[:1], _SHOWN_BANDS, 0)
    low, high = (np.percentile(shown, q, axis=(1, 2), keepdims=True) for q in (2, 98))
    flat: Bool[np.ndarray, "3 1 1"] = high <= low
    stretched = (shown - low) / np.where(flat, 1, high - low)
    pixels: np.ndarray = (np.clip(stretched, 0, 1) * 255).round().astype(np.uint8)
    return pixels.transpose(1, 2, 0)
