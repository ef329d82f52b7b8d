"""What belongs to one method, and how methods are found."""

import math
from typing import get_args, get_type_hints

import pytest
import torch
from torch.nn import functional as F
from toys import first_step as step
from toys import make_batch
from toys import make_method as make

from coteach import CoTeaching
from coteach.errors import ConfigError, OptionError
from coteach.methods.base import Method
from coteach.methods.co_teaching import CoTeachingConfig
from coteach.methods.discovery import create_method, discover_methods


def test_this_folder_is_found():
    assert {"supervised", "soft_label", "co_teaching"} <= set(discover_methods())
    assert all(issubclass(m, Method) and m.name == n for n, m in discover_methods().items())


def test_a_broken_plug_in_fails_loudly(monkeypatch):
    class Broken:
        name, value = "broken", "nowhere:Nothing"

        def load(self):
            raise ImportError("no module nowhere")

    monkeypatch.setattr("coteach.methods.discovery.entry_points", lambda group: [Broken()])
    with pytest.raises(ConfigError, match=r"broken.*nowhere"):
        discover_methods()


def test_misspelt_names_get_the_nearest():
    with pytest.raises(ConfigError, match="co_teaching"):
        create_method("co_teching", {})
    with pytest.raises(ConfigError, match="lambda_reg"):
        create_method("co_teaching", {"lamda_reg": 0.1})


def test_bad_rates_are_refused_at_once():
    with pytest.raises(ConfigError, match="p_start"):
        create_method("co_teaching", {"p_start": 1.5})


def test_supervised_is_torch_cross_entropy_on_the_argmax():
    method, batch = make("supervised", {"label_smoothing": 0.1}), make_batch()
    method.eval()
    expected = F.cross_entropy(
        method.networks["a"](batch.inputs), batch.target["mask"].argmax(1), label_smoothing=0.1
    )
    torch.testing.assert_close(method.losses({"train": batch}, step()).total(), expected)


def test_inference_by_network_a_or_by_the_mean():
    batch = make_batch()
    single, mean = make("co_teaching"), make("co_teaching", {"inference": "mean"})
    mean.load_state_dict(single.state_dict())
    single.eval()
    mean.eval()
    p_a, p_b = (single.networks[n](batch.inputs).softmax(1) for n in "ab")
    torch.testing.assert_close(single.predict(batch.inputs), p_a)
    torch.testing.assert_close(mean.predict(batch.inputs), (p_a + p_b) / 2)


def test_the_paper_is_the_default():
    config = CoTeachingConfig()
    assert (config.e_warm, config.p_start, config.p_end, config.forget_end, config.lambda_reg) == (
        20,
        0.5,
        0.95,
        0.3,
        0.1,
    )
    assert CoTeaching().config == config


def test_dropout_of_each_network_has_its_own_stream():
    method, batch = make("co_teaching"), make_batch()
    method.networks["b"].load_state_dict(method.networks["a"].state_dict())
    a, b = (method.logits(n, batch, step()) for n in "ab")
    assert not torch.equal(a, b)
    assert torch.equal(a, method.logits("a", batch, step()))


def test_what_is_known_of_the_set_is_part_of_a_checkpoint():
    method, batch = make("co_teaching", {"retain_by": "set"}), make_batch()
    method.losses({"train": batch}, step())
    assert method.state_dict()["running.histogram"].sum() > 0
    other = make("co_teaching", {"retain_by": "set"})
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.loss.running.histogram, method.loss.running.histogram)
    assert "running.histogram" not in make("co_teaching").state_dict()


def test_a_forget_rate_for_each_class():
    options = {"forget_end": [0.5, 0.0], "e_warm": 0, "p_end": 1.0}
    method, batch = make("co_teaching", options), make_batch()
    logs = method.losses({"train": batch}, step()).logs
    share = [logs[f"selected_share/{c}"].part / logs[f"labelled_share/{c}"].part for c in range(2)]
    assert share[0] < 0.6
    assert share[1] == 1
    with pytest.raises(OptionError, match="3 rates for 2 classes"):
        make("co_teaching", {"forget_end": [0.1, 0.2, 0.3]})


NUMBERS = [
    (method, field)
    for method in discover_methods().values()
    for field, hint in get_type_hints(method.config_type).items()
    if {float, int} & {hint, *get_args(hint)} and type(None) not in get_args(hint)
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("method", "field"), NUMBERS, ids=lambda one: getattr(one, "name", one))
@pytest.mark.parametrize("value", [None, "much", True, math.nan], ids=repr)
def test_what_is_no_number_is_refused_in_python_too(method, field, value):
    """A configuration is checked before; a dataclass takes what it is given."""
    with pytest.raises(OptionError, match=f"^{field}: {value!r} is "):
        method.config_type(**{field: value})
