"""What a hostile configuration would put in place of an object, and the places where it could."""

from __future__ import annotations

import copy
from typing import Any

# each leads to something that runs code, reads files or starts programs, or is of no kind that any place takes
TARGETS = (
    "os.system",
    "os.popen",
    "posix.system",
    "builtins.eval",
    "builtins.exec",
    "builtins.__import__",
    "subprocess.Popen",
    "subprocess.check_output",
    "pickle.loads",
    "importlib.import_module",
    "shutil.rmtree",
    "runpy.run_path",
    "socket.create_connection",
    "hydra.utils.call",
    "omegaconf.OmegaConf.load",
    "numpy.load",
    "torch.hub.load",
    "torch.hub.os.system",
    "torch.load",
    "torch.serialization.pickle.loads",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "torch.utils.cpp_extension.load",
    "torch.utils.cpp_extension.load_inline",
    "torch.utils.cpp_extension.subprocess.Popen",
    "torch.utils.collect_env.run",
    "torch.os.system",
    "torch.nn.modules.module.os.system",
    "torch.nn.Module.__init__.__globals__",
    "torch.nn.Module.__subclasses__",
    "torch._C._jit_init",
    "torch.distributed.run.main",
    "torch.utils.data.TensorDataset",
    "torch.multiprocessing.Process",
    "torchvision.datasets.FakeData",
    "torchvision.models.get_model",
    "torchvision.models.resnet.load_state_dict_from_url",
    "torchvision.io.write_file",
    "lightning.Trainer",
    "lightning.fabric.utilities.cloud_io._load",
    "lightning.pytorch.cli.LightningCLI",
    "timm.models.load_checkpoint",
    "timm.models._helpers.torch.load",
    "segmentation_models_pytorch.from_pretrained",
    "albumentations.load",
    "albumentations.from_dict",
    "albumentations.core.serialization.yaml.unsafe_load",
    "albumentations.core.composition.__builtins__",
    "albumentations.core.transforms_interface.BasicTransform.apply.__globals__",
    "coteach.cli.main.main",
    "coteach.cli.targets.TargetResolver",
    "coteach.training.checkpoints.torch.load",
    "coteach.data.fetch.subprocess.run",
    "torch",
    "..os.system",
    "torch.nn.Linear\nos.system",
    "",
    "TORCH.NN.LINEAR",
)  # fmt: skip

_FLIP = {"_target_": "albumentations.HorizontalFlip"}


def sound(images: str) -> dict[str, Any]:
    """A configuration with nothing wrong; of images in an ``.npz`` file."""
    data = {"_target_": "coteach.ArrayDataset", "images": images}
    return {
        "num_classes": 2,
        "method": {"name": "supervised"},
        "model": {"_target_": "coteach.models.SmallMobileNet", "in_channels": 3, "num_classes": 2},
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
        "scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1},
        "train_dataset": data
        | {"augmentation_list": [{"_target_": "albumentations.OneOf", "transforms": [_FLIP]}]},
        "val_dataset": dict(data),
        "metrics": {"x": {"_target_": "torchmetrics.classification.MulticlassF1Score", "num_classes": 2}},
        "loggers": [{"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "logs"}],
        "data_loader": {"batch_size": 4},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
        "output_dir": "run",
    }


PLACES: tuple[tuple[str | int, ...], ...] = (
    ("model",),
    ("model", "in_channels"),
    ("optimizer",),
    ("scheduler",),
    ("train_dataset",),
    ("train_dataset", "augmentation_list", 0),
    ("train_dataset", "augmentation_list", 0, "transforms", 0),
    ("val_dataset",),
    ("val_dataset", "labels"),
    ("metrics", "x"),
    ("loggers", 0),
)


def spelled(place: tuple[str | int, ...]) -> str:
    """A place as messages name it."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)[1:]


def with_node(content: dict[str, Any], place: tuple[str | int, ...], node: object) -> dict[str, Any]:
    """A copy of a configuration with another node at a place."""
    changed: Any = copy.deepcopy(content)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = node
    return changed
