"""The containers that flow through the package."""

from torch.utils.data._utils.pin_memory import pin_memory

from coteach.types import Batch


class Pinnable:
    """Stands for a tensor: page-locked memory needs an accelerator."""

    def __init__(self, pinned=False):
        self.pinned = pinned

    def pin_memory(self):
        return Pinnable(pinned=True)


def test_torch_pins_all_that_the_networks_see():
    batch = Batch(
        ids=Pinnable(),
        views=([Pinnable(), Pinnable()],),
        targets=({"mask": Pinnable(), "w_conf": None}, None),
        extra={"path": ["a.tif"]},
    )
    pinned = pin_memory(batch)
    assert pinned.ids.pinned
    assert [image.pinned for image in pinned.inputs] == [True, True]
    assert pinned.target["mask"].pinned
    assert pinned.target["w_conf"] is None
    assert pinned.targets[1] is None
    assert pinned.extra == {"path": ["a.tif"]}
    assert not batch.ids.pinned
