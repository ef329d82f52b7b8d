"""What the checks of options let through, and what they say of the others."""

import pytest

from coteach.errors import OptionError
from coteach.methods.divide_mix import DivideMixConfig
from coteach.methods.elr import ElrConfig
from coteach.methods.soft_teacher import SoftTeacherConfig
from coteach.selection.schedules import check_not_negative


@pytest.mark.parametrize("value", [0, 0.0, 3, 0.5])
def test_what_is_not_negative_is_given_back(value):
    assert check_not_negative("rate", value) == value


def test_a_negative_number_is_refused_with_what_0_does():
    with pytest.raises(OptionError, match=r"^rate: -0\.5 is negative; use 0 to leave it out$"):
        check_not_negative("rate", -0.5, "use 0 to leave it out")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (DivideMixConfig, "warm_epochs"),
        (DivideMixConfig, "confidence_weight"),
        (SoftTeacherConfig, "burn_in"),
        (SoftTeacherConfig, "ramp_steps"),
        (ElrConfig, "mixup_alpha"),
    ],
)
def test_methods_refuse_negative_options_by_name(config, name):
    with pytest.raises(OptionError, match=rf"^{name}: -1 is negative; use 0 "):
        config(**{name: -1})
