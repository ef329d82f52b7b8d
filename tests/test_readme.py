"""The code blocks of the README run."""

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
import yaml

from coteach.cli.config import load_config
from coteach.cli.main import _COMMANDS, cli, main

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_python_runs():
    [classification, parts] = blocks("python")
    names = {}
    exec(compile(classification, "README.md", "exec"), names)
    predicted = names["result"].predict(names["images"] / 255).argmax(1)
    assert (predicted == names["labels"]).mean() > (names["noisy"] == names["labels"]).mean()
    names = {}
    exec(compile(parts, "README.md", "exec"), names)
    for net in ("net_a", "net_b"):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in names[net].parameters())


def test_the_configuration_is_valid(tmp_path):
    [text] = blocks("yaml")
    (tmp_path / "conf.yaml").write_text(text)
    config = load_config(tmp_path / "conf.yaml", ["optimizer.lr=3e-4"])
    assert config.model["classes"] == yaml.safe_load(text)["num_classes"] == 4


def commands():
    """The command lines of all console blocks, without prompt and remarks."""
    joined = (block.replace("\\\n", " ") for block in blocks("console"))
    return [shlex.split(line, comments=True)[1:] for block in joined for line in block.splitlines()]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_parse(words):
    """Every command and option that the README shows exists."""
    if words[0] == "coteach":
        command = cli.get_command(click.Context(cli), words[1])
        command.make_context(words[1], words[2:])
        assert words[1] in _COMMANDS
    else:
        assert words[0] in {"make", "pip"}
        if words[0] == "make":
            assert re.search(
                rf"^{words[1]}:", (Path(__file__).parents[1] / "Makefile").read_text(), re.MULTILINE
            )


def test_from_maps_to_a_report(nc_landcover, tmp_path, monkeypatch):
    """The README's commands in their order, on the sample scene; the training is cut short and the network small."""
    monkeypatch.chdir(tmp_path)
    [table] = blocks("text")
    Path("sources.csv").write_text(table)
    shutil.copy(nc_landcover.image, "image_1.tif")
    Path("scenes").mkdir()
    shutil.copy(nc_landcover.image, "scenes/a.tif")
    for name in ("mask_1.tif", "worldcover.tif", "esri.tif", "truth.tif"):
        shutil.copy(nc_landcover.landcover, name)
    [conf] = blocks("yaml")
    Path("conf.yaml").write_text(conf)
    shorter = [
        "model.encoder_weights=null",
        "model.encoder_name=resnet18",
        "trainer.max_epochs=1",
        "trainer.precision=32-true",
        "trainer.accelerator=cpu",
        "data_loader.num_workers=0",
        "train_dataset.image_scale=255",  # the sample holds 0 to 255 as floats
        "val_dataset.image_scale=255",
        "test_dataset.image_scale=255",
    ]
    for words in commands():
        if words[0] == "coteach" and words[1] != "completion":
            with pytest.raises(SystemExit) as ended:
                main(words[1:] + (shorter if words[1] == "train" else []))
            assert ended.value.code == 0, words
    assert Path("maps/a_class.tif").is_file()
    assert "<html" in Path("report.html").read_text()
