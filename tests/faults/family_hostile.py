"""Hostile configurations and checkpoints: whatever they name, nothing is run, read or told."""

from __future__ import annotations

import io
import os
import pickle
import random
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from fault_frame import Family, Try
from hostile_targets import PLACES, TARGETS, sound, spelled, with_node

from coteach.cli.main import main
from coteach.errors import TrainingError

SECRET = "s3cr3t-of-this-computer"
_STARTED = {"os.system", "os.exec", "os.posix_spawn", "os.startfile", "subprocess.Popen", "pty.spawn"}


class Evil:
    """Unpickled it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.mark}'",)


def target_tries(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """Every target at some place, then places and targets as they come."""
    images = write_images(shared)
    run_train(
        shared, sound(str(images)), expected=0
    )  # with nothing wrong it trains; and the imports are done
    rng = random.Random(seed)
    targets = rng.sample(TARGETS, len(TARGETS))
    for number in range(count):
        target = targets[number % len(targets)]
        place = rng.choice(PLACES)
        content = with_node(
            sound(str(images)), place, {"_target_": target, "command": "touch entered", "lr": 0.1}
        )
        yield Try(f"{target} as {spelled(place)}", partial(refuse_target, content=content, place=place))


def refuse_target(folder: Path, content: dict[str, object], place: tuple[str | int, ...]) -> None:
    """Refused for what it is, before anything is called or written."""
    events = listen()
    said = run_train(folder, content, expected=1)
    assert not events, events
    assert f"Error: {spelled(place)}: _target_ " in said, said
    assert {path.name for path in folder.iterdir()} == {"conf.yaml"}


def listen() -> list[str]:
    """Programs started from now on."""
    events: list[str] = []
    sys.addaudithook(lambda event, args: events.append(f"{event} {args}") if event in _STARTED else None)
    return events


def run_train(folder: Path, content: dict[str, object] | str, *more: str, expected: int) -> str:
    """Run ``coteach train`` in the folder; gives what it said."""
    conf = folder / "conf.yaml"
    conf.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    said, code = io.StringIO(), 0
    with chdir(folder), redirect_stdout(said), redirect_stderr(said):
        try:
            main(["train", str(conf), *more])
        except SystemExit as ended:
            code = int(ended.code or 0)
    assert code == expected, said.getvalue()
    assert "Traceback" not in said.getvalue()
    return said.getvalue()


def write_images(folder: Path) -> Path:
    """Eight images with labels."""
    path = folder / "images.npz"
    rng = np.random.default_rng(0)
    np.savez(path, images=rng.integers(0, 255, (8, 32, 32, 3), dtype=np.uint8), labels=np.arange(8) % 2)
    return path


SECRETS = {
    "as the folder": "output_dir: ${oc.env:SECRET}",
    "within a text": "output_dir: runs/${oc.env:SECRET}/x",
    "with a default": "output_dir: ${oc.env:SECRET,x}",
    "as a name": "class_names: [a, '${oc.env:SECRET}']",
    "as a target": "scheduler: {_target_: '${oc.env:SECRET}'}",
    "as an unknown key's value": "colour: ${oc.env:SECRET}",
    "decoded": "output_dir: ${oc.decode:${oc.env:SECRET}}",
    "by another value": "output_dir: ${colour}\ncolour: ${oc.env:SECRET}",
    "through an arithmetic": "seed: ${div:${oc.env:SECRET},1}",
    "in the defaults": "defaults: ['${oc.env:SECRET}']",
    "with spaces": "output_dir: ${ oc.env: SECRET }",
    "by a name that is put together": "output_dir: ${oc.env:${colour}}\ncolour: SECRET",
    "of a file": "output_dir: ${oc.env:SECRET}\nhydra: {run: {dir: '${oc.env:SECRET}'}}",
}


def secret_tries(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """Each way to ask for a variable of the environment, in the file or as an override."""
    images = write_images(shared)
    ways = random.Random(seed).sample(list(SECRETS.items()), len(SECRETS))
    for number in range(count):
        name, line = ways[number // 2 % len(ways)]
        yield Try(f"secret {name}", partial(keep_secret, images=images, line=line, override=bool(number % 2)))


def keep_secret(folder: Path, images: Path, line: str, *, override: bool) -> None:
    """Neither said nor kept."""
    os.environ["SECRET"] = SECRET
    key, value = (line.splitlines()[0] + "\n").split(": ", 1)
    plain = {one: part for one, part in sound(str(images)).items() if one not in line}
    if override and key not in ("defaults", "class_names", "scheduler") and "colour" not in value:
        said = run_train(folder, plain, f"{key}={value.strip()}", expected=1)
    else:
        said = run_train(folder, f"{yaml.safe_dump(plain)}{line}\n", expected=1)
    assert SECRET not in said, said
    for path in folder.rglob("*"):
        assert SECRET not in str(path)
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def pickle_tries(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """Files of weights and arrays that hold code."""
    images = write_images(shared)
    ways = random.Random(seed).sample(sorted(PICKLES), len(PICKLES))
    for number in range(count):
        way = ways[number % len(ways)]
        yield Try(f"code in {way}", partial(refuse_code, way=way, images=images))


def refuse_code(folder: Path, way: str, images: Path) -> None:
    """Refused by name, and not run."""
    mark = folder / "entered"
    PICKLES[way](folder, Evil(mark), images)
    assert not mark.exists(), "code in a file was run"


def _checkpoint(folder: Path, evil: Evil, images: Path, *, form: str) -> None:
    import torch

    from coteach.training.checkpoints import load_checkpoint

    path = folder / "last.ckpt"
    content = {"coteach": {}, "state_dict": {}, "extra": evil}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(TrainingError, match=r"last\.ckpt"):
        load_checkpoint(path)


def _weights(folder: Path, evil: Evil, images: Path) -> None:
    import torch

    torch.save({"state_dict": evil}, folder / "weights.pth")
    node = {"_target_": "timm.create_model", "model_name": "resnet10t", "checkpoint_path": "weights.pth"}
    said = run_train(folder, with_node(sound(str(images)), ("model",), node), expected=1)
    assert "model" in said


def _arrays(folder: Path, evil: Evil, images: Path, *, key: str, suffix: str) -> None:
    path = folder / f"evil{suffix}"
    held = np.array([evil] * 8, object)
    if suffix == ".npz":
        np.savez(path, images=held, labels=held)
    else:
        np.save(path, held)
    content = with_node(sound(str(images)), ("train_dataset", key), str(path))
    said = run_train(folder, content, expected=1)
    assert path.name in said, said


PICKLES = {
    "a checkpoint": partial(_checkpoint, form="zip"),
    "an old checkpoint": partial(_checkpoint, form="old"),
    "a bare pickle": partial(_checkpoint, form="pickle"),
    "weights that a model reads": _weights,
    "an array of images": partial(_arrays, key="images", suffix=".npy"),
    "an array of labels": partial(_arrays, key="labels", suffix=".npy"),
    "an archive of arrays": partial(_arrays, key="images", suffix=".npz"),
}

FAMILIES = (
    Family("hostile targets", "refused by kind, nothing called", target_tries, short=4, long=150),
    Family("hostile interpolations", "nothing told or kept", secret_tries, short=2, long=26),
    Family("code in files", "refused, not run", pickle_tries, short=2, long=21),
)
