"""What loader processes tell reaches the user as without them."""

import warnings

import numpy as np
import pytest
from PIL import Image

from coteach import ImageFolderDataset
from coteach.errors import CoteachWarning, InputError
from coteach.methods.base import Stream
from coteach.training import loader_errors
from coteach.training.streams import LoaderOptions, make_loader


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_the_same_error_with_and_without_workers(tmp_path, workers):
    rng = np.random.default_rng(0)
    for name in ("a/1.png", "a/2.png", "b/3.png", "b/4.png", "b/5.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / name)
    bad = tmp_path / "b" / "4.png"
    bad.write_bytes(bad.read_bytes()[:90])
    loader = make_loader(
        ImageFolderDataset(tmp_path, 8),
        Stream(shuffle=False),
        LoaderOptions(batch_size=2, num_workers=workers),
        seed=0,
    )
    batches = iter(loader)
    assert next(batches).ids.tolist() == [0, 1]
    with pytest.raises(InputError) as raised:
        next(batches)
    assert raised.value.thing == str(bad)
    assert raised.value.cause.startswith("cannot be read (")
    assert raised.value.remedy == "replace or remove it, or set on_error: skip"


def test_an_error_of_collating_is_passed_on_and_others_are_not_held_back():
    def refuse(samples):
        raise samples[0]

    error = InputError("it", "is", "so")
    assert loader_errors.CollateOrError(len)(error) is error  # met where the samples were drawn
    assert loader_errors.CollateOrError(refuse)([error]) is error
    assert loader_errors.CollateOrError(len)([1, 2]) == 2
    with pytest.raises(ValueError, match="theirs"):
        loader_errors.CollateOrError(refuse)([ValueError("theirs")])


def test_warnings_of_a_worker_are_one_line(monkeypatch):
    monkeypatch.setattr(loader_errors, "keep_freed_memory", lambda worker_id: None)
    monkeypatch.setattr(warnings, "formatwarning", usual := warnings.formatwarning)  # put back afterwards
    loader_errors.start_worker(0)
    assert warnings.formatwarning(CoteachWarning("a.png is gone"), CoteachWarning, "f.py", 3) == (
        "Warning: a.png is gone\n"
    )
    assert warnings.formatwarning("theirs", UserWarning, "f.py", 3) == usual("theirs", UserWarning, "f.py", 3)
