"""The variants are those of the paper's table, and their twins differ from them in the border only."""

import pytest

from coteach.cli.variants import VARIANTS, choose_variants, twin_of
from coteach.errors import OptionError

# name -> options of coteach build-soft-labels as the paper's table has them
BUILD = {
    "E2-NB": {"alpha": 0.6, "use_border": False},
    "E2": {"alpha": 0.6, "border_source": "argmax"},
    "E3": {"alpha": 0.5, "beta": 0.2, "aef_source": "hf", "border_source": "argmax"},
    "E4": {"alpha": 1.0, "use_border": False, "entropy_norm": "minmax"},
    "E4-AEF": {"alpha": 0.5, "beta": 0.2, "aef_source": "gcs"},
    "E5": {"alpha": 0.6, "entropy_norm": "minmax", "border_source": "mask", "border_radius": 10},
    "CoT-Curr": {"alpha": 0.6, "border_source": "argmax"},
    "CoT-Full": {"alpha": 0.6, "border_source": "argmax"},
}


def test_the_table_of_variants():
    assert list(VARIANTS) == ["E0", "E1", *BUILD]
    for name, options in BUILD.items():
        assert dict(VARIANTS[name].labels.options) == options
        assert VARIANTS[name].weighted
    assert not VARIANTS["E0"].weighted
    assert not VARIANTS["E1"].weighted
    assert [name for name, variant in VARIANTS.items() if variant.labels.mask_only] == ["E0"]
    assert {name: v.labels.embeddings for name, v in VARIANTS.items() if v.labels.embeddings} == {
        "E3": "hf",
        "E4-AEF": "gcs",
    }
    assert [name for name, variant in VARIANTS.items() if variant.needs_mask] == ["E0", "E5"]
    methods = {name: dict(variant.method) for name, variant in VARIANTS.items()}
    assert methods.pop("E0") == {"name": "supervised"}
    assert methods.pop("CoT-Curr") == {"name": "co_teaching", "lambda_reg": 0.0}
    assert methods.pop("CoT-Full") == {"name": "co_teaching", "lambda_reg": 0.1}
    assert all(method == {"name": "soft_label"} for method in methods.values())


def test_label_sets_of_one_name_are_one_set():
    sets = {}
    everything = [*VARIANTS.values(), *filter(None, map(twin_of, VARIANTS.values()))]
    for variant in everything:
        assert sets.setdefault(variant.labels.name, variant.labels) == variant.labels


@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name].weighted])
def test_a_twin_differs_in_the_border_only_and_knows_its_own_twin(name):
    variant = VARIANTS[name]
    twin = twin_of(variant)
    assert twin.labels.with_border is not variant.labels.with_border
    assert (twin.method, twin.weighted) == (variant.method, variant.weighted)
    borders = {"use_border", "border_source", "border_radius", "alpha"}
    one, other = (
        {key: value for key, value in v.labels.options.items() if key not in borders} for v in (variant, twin)
    )
    assert one == other
    assert twin_of(twin).labels.with_border is variant.labels.with_border


def test_twins_by_hand():
    assert twin_of(VARIANTS["E2"]) is VARIANTS["E2-NB"]
    assert twin_of(VARIANTS["E2-NB"]) is VARIANTS["E2"]
    assert twin_of(VARIANTS["CoT-Full"]).labels == VARIANTS["E2-NB"].labels
    # all of the weight was entropy's: the border takes 0.4 of it
    assert twin_of(VARIANTS["E4"]).labels.options == {
        "alpha": 0.6,
        "border_source": "argmax",
        "entropy_norm": "minmax",
    }
    assert twin_of(VARIANTS["E1"]) is None


def test_chosen_in_order_and_once():
    assert [v.name for v in choose_variants(["E2", "E0", "E2-NB"], both_borders=True)] == [
        "E2",
        "E2-NB",
        "E0",
    ]
    assert [v.name for v in choose_variants(["E5-NB", "E4-B"])] == ["E5-NB", "E4-B"]
    with pytest.raises(OptionError, match="no 'CoT-Ful'; did you mean CoT-Full"):
        choose_variants(["CoT-Ful"])
