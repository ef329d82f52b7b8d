"""Configurations that are too much, or ask for what is not theirs."""

import pytest
from omegaconf import OmegaConf

from coteach.cli.config import compose_config, load_config
from coteach.errors import ConfigError

BOMB = "x0: &x0 [lol]\n" + "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "holds more than 100000 values"),
        ("x: &x [*x]\n", "or an alias of itself"),
        ("x: " + "[" * 60 + "]" * 60, "is nested more than 50 deep"),
        ("x: [1\n", "expected ',' or ']'"),
        ("x: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        ("defaults: [conf]\n", "recursion"),
        (b"\xff\xfex", "cannot be read"),
    ],
)
def test_is_refused_by_name(tmp_path, text, says):
    path = tmp_path / "conf.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=says) as refused:
        load_config(path)
    assert refused.value.thing == str(path)
    assert len(str(refused.value)) < 1000


def test_aliases_as_people_use_them(tmp_path):
    path = tmp_path / "conf.yaml"
    path.write_text("data: &data {a: [1, 2]}\nother: {<<: *data, b: 3}\nthird: *data\n")
    assert compose_config(path)[1]["other"] == {"a": [1, 2], "b": 3}


def test_the_environment_stays_where_it_is(tmp_path, monkeypatch):
    """Neither in an error nor in the content; and a program that uses OmegaConf itself reads it as before."""
    monkeypatch.setenv("SECRET", "s3cr3t")
    path = tmp_path / "conf.yaml"
    path.write_text("seed: 1\noutput_dir: runs/${seed}\n")
    assert compose_config(path)[1]["output_dir"] == "runs/1"
    for override in ("output_dir=${oc.env:SECRET}", "class_names=[${oc.env:SECRET}]"):
        with pytest.raises(ConfigError, match=r"\$\{oc\.env:SECRET\}: a configuration is kept") as refused:
            compose_config(path, [override])
        assert "s3cr3t" not in str(refused.value)
        assert OmegaConf.create({"a": "${oc.env:SECRET}"}).a == "s3cr3t"
