"""Configuration files: composition, overrides, keys and types."""

import pytest

from coteach.cli.config import load_config
from coteach.errors import ConfigError

YAML = """
num_classes: 2
method: {name: supervised}
model: {_target_: torch.nn.Conv2d, in_channels: 2, out_channels: 2, kernel_size: 1}
optimizer: {_target_: torch.optim.SGD, lr: 0.1}
train_dataset: {_target_: coteach.SoftLabelDataset, input_csv_path: train.csv}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "conf.yaml"
    path.write_text(YAML)
    return path


def test_defaults_and_overrides(file):
    config = load_config(file, ["optimizer.lr=3e-4"])
    assert config.optimizer["lr"] == 3e-4
    assert config.seed == 42
    assert config.output_dir == "runs/run"


def test_a_key_that_the_file_lacks_can_be_given(file):
    config = load_config(file, ["+seed=7", "trainer.max_epochs=3", "output_dir=a", "optimizer.lr=0.2"])
    assert (config.seed, config.trainer, config.output_dir) == (7, {"max_epochs": 3}, "a")
    assert config.optimizer["lr"] == 0.2


def test_composition_from_a_base_file(file):
    derived = file.with_name("derived.yaml")
    derived.write_text("defaults: [conf, _self_]\noptimizer: {lr: 0.5}\n")
    config = load_config(derived)
    assert config.optimizer == {"_target_": "torch.optim.SGD", "lr": 0.5}
    assert config.model["in_channels"] == 2


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("optimiser: {}", "optimizer"),
        ("sed: 3", "seed"),
        ("seed: three", "seed is 'three'"),
        ("class_names: [a]", "class_names: 1 for 2 classes"),
        ("output_dir: ${nowhere}", "nowhere"),
    ],
)
def test_wrong_keys_and_values_are_named(file, extra, expected):
    file.write_text(YAML + extra + "\n")
    with pytest.raises(ConfigError, match=expected):
        load_config(file)


def test_a_missing_key_is_named(file):
    file.write_text(YAML.replace("num_classes: 2\n", ""))
    with pytest.raises(ConfigError, match="num_classes"):
        load_config(file)


@pytest.mark.parametrize("override", ["optimizr.lr=1", "+optimizr.lr=1", "optimizr={}"])
def test_an_override_of_an_unknown_key_is_named(file, override):
    with pytest.raises(ConfigError, match=r"unknown key optimizr; did you mean optimizer\?"):
        load_config(file, [override])


def test_an_override_that_chooses_a_file_of_a_group(file):
    (file.parent / "optimizer").mkdir()
    (file.parent / "optimizer" / "slow.yaml").write_text("{_target_: torch.optim.SGD, lr: 0.001}")
    (file.parent / "optimizer" / "fast.yaml").write_text("{_target_: torch.optim.SGD, lr: 1.0}")
    text = YAML.replace("optimizer: {_target_: torch.optim.SGD, lr: 0.1}\n", "")
    file.write_text("defaults: [{optimizer: slow}, _self_]\n" + text)
    assert load_config(file).optimizer["lr"] == 0.001
    assert load_config(file, ["optimizer=fast", "seed=3"]).optimizer["lr"] == 1.0


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "just text"])
def test_a_file_that_is_no_configuration(file, text):
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"conf\.yaml"):
        load_config(file)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")


NEEDS = YAML.replace("num_classes: 2", "num_classes: ???").replace(
    "out_channels: 2", "out_channels: '${num_classes}'"
)


@pytest.mark.parametrize(
    "overrides", [["~model.out_channels", "num_classes=3"], ["num_classes=3", "~model.out_channels"]]
)
def test_a_key_is_deleted_wherever_that_is_asked_for(file, overrides):
    file.write_text(NEEDS)
    config = load_config(file, overrides)
    assert config.num_classes == 3
    assert config.model == {"_target_": "torch.nn.Conv2d", "in_channels": 2, "kernel_size": 1}


def test_a_deleted_key_may_be_given_anew(file):
    config = load_config(file, ["~model", "+model={_target_: torch.nn.Identity}", "~optimizer.lr", "seed=3"])
    assert config.model == {"_target_": "torch.nn.Identity"}
    assert (config.optimizer, config.seed) == ({"_target_": "torch.optim.SGD"}, 3)


def test_what_must_be_given_is_named_where_a_key_is_deleted(file):
    file.write_text(NEEDS)
    with pytest.raises(
        ConfigError, match=r"conf\.yaml: num_classes: must be given; set it in the file or as num_"
    ):
        load_config(file, ["~model.out_channels"])


def test_deleting_what_is_not_there_is_told(file):
    with pytest.raises(ConfigError, match="nowhere"):
        load_config(file, ["~nowhere", "seed=3"])


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("runs/mit umlaut ä", True),
        ("läuf", True),
        ("a,b", True),
        ("a(b", True),
        ("it's", False),
        ("[a, ä]", False),
        ("a{", False),
    ],
)
def test_a_value_that_needs_quotes_is_told_so(file, value, quoted):
    override = f"output_dir={value}"
    with pytest.raises(ConfigError, match="quotes of its own") as refused:
        load_config(file, ["seed=3", override])
    assert str(refused.value).startswith(
        f"override {override}: cannot be read; put a value with spaces, commas"
    )
    assert ("output_dir='" in refused.value.remedy) is quoted
    if quoted:
        advised = refused.value.remedy.partition(": ")[2]
        assert advised == f"\"output_dir='{value}'\""
        assert load_config(file, [advised.strip('"')]).output_dir == value


@pytest.mark.parametrize("override", ["seed", "two words=1", "~a b"])
def test_an_override_that_is_no_assignment(file, override):
    with pytest.raises(ConfigError, match=f"^override {override}: cannot be read; give key=value, or ~key"):
        load_config(file, [override])


def test_a_byte_order_mark_is_no_part_of_the_first_key(file):
    """As Windows' editors write it, in the file and in one that it is based on."""
    file.write_text(YAML.lstrip(), encoding="utf-8-sig")
    assert load_config(file).num_classes == 2
    derived = file.with_name("derived.yaml")
    derived.write_text("defaults: [conf, _self_]\nseed: 3\n", encoding="utf-8-sig")
    config = load_config(derived)
    assert (config.num_classes, config.seed) == (2, 3)


def test_a_list_is_no_configuration(file):
    file.write_text("- 1\n")
    with pytest.raises(
        ConfigError, match=r"conf\.yaml: is a list; a configuration is a mapping of keys to values"
    ):
        load_config(file)


def test_a_folder_is_no_configuration(tmp_path):
    with pytest.raises(ConfigError, match="is a folder; give the path of a YAML configuration"):
        load_config(tmp_path)
