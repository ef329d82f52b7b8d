from __future__ import annotations

import sys
from dataclasses import fields

import torch
from toys import ToyMaps

from coteach.data import lent_memory
from coteach.methods.base import Stream
from coteach.training.loader_errors import RaisingLoader
from coteach.training.streams import LoaderOptions, StreamLoader, make_loader


def stream_loader(workers):
    streams = (Stream(name="train", views=2),)
    options = LoaderOptions(batch_size=5, num_workers=workers)
    loaders = {stream.name: make_loader(ToyMaps(), stream, options, seed=3) for stream in streams}
    return StreamLoader(loaders, streams)


def parts(value):
    """All tensors of a batch, and its other values."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [part for key in sorted(value) for part in parts(value[key])]
    if isinstance(value, (list, tuple)):
        return [part for one in value for part in parts(one)]
    return [value]


def flat(batch):
    return [part for field in fields(batch) for part in parts(getattr(batch, field.name))]


def test_workers_give_the_batches_of_the_training_process(monkeypatch):
    """Spawned ones: epochs with a smaller batch at the end, all of them held; then an epoch that is gone on with."""
    monkeypatch.setattr(RaisingLoader, "delivered", False)
    plain, tested = stream_loader(0), stream_loader(1)
    expected, found = [], []
    for loader, seen in ((plain, expected), (tested, found)):
        assert not RaisingLoader.delivered
        for epoch in range(2):
            loader.set_epoch(epoch)
            seen += list(loader)
        loader.load_state_dict({"batches": 2})
        seen += list(loader)
    assert RaisingLoader.delivered
    assert len(expected) == 3 + 3 + 1
    for one, other in zip(found, expected, strict=True):
        assert list(one) == ["train"]
        for name, batch in one.items():
            for part, wanted in zip(flat(batch), flat(other[name]), strict=True):
                if isinstance(wanted, torch.Tensor):
                    assert part.dtype == wanted.dtype
                    assert torch.equal(part, wanted)
                else:
                    assert part == wanted
    if sys.platform == "linux":
        assert lent_memory._known  # it did not go the ordinary way


def test_nothing_is_shared_without_workers():
    assert not next(iter(stream_loader(0)))["train"].views[0].is_shared()
