"""Short detection runs on drawn squares, for tests."""

import torch
from torch.utils.data import Dataset
from toy_boxes import draw, tiny_detector

from coteach.data.detection_set import DetectionDataset
from coteach.methods.discovery import create_method
from coteach.training.options import TrainerOptions
from coteach.training.run import TrainingRun
from coteach.training.streams import LoaderOptions


class DrawnBoxes(Dataset):
    """Drawn squares in images of two sizes."""

    num_classes = 2
    num_bands = 3
    collate = staticmethod(DetectionDataset.collate)

    def __init__(self, ids, *, labelled=True):
        self.ids = list(ids)
        self.labelled = labelled

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        image, target = draw(self.ids[index], size=64 if index % 2 else 72)
        image = image + 0.01 * torch.randn(image.shape)
        return {
            "image": image,
            "mask": target if self.labelled else None,
            "ignore": torch.zeros(0, 4),
            "file_name": f"{self.ids[index]}.png",
        }


def asked(folder, name="soft_teacher", options=None, **length):
    given = {"score_initial": 0.0, "thresholds": 0.34, "labelled_batch": 2, "unlabelled_batch": 3}
    return TrainingRun(
        method=create_method(name, given | (options or {}) if name != "supervised_detection" else {}),
        make_network=tiny_detector,
        make_optimizer=lambda weights: torch.optim.SGD(weights, lr=0.005, momentum=0.9),
        datasets={
            "train": DrawnBoxes(range(6)),
            "unlabelled": DrawnBoxes(range(20, 27), labelled=False),
            "val": DrawnBoxes(range(40, 44)),
        },
        num_classes=2,
        output_dir=folder,
        seed=1,
        loader=LoaderOptions(batch_size=2),
        options=TrainerOptions(
            max_epochs=2, accelerator="cpu", devices=1, log_every_n_steps=1, log_images=0, **length
        ),
    )
