"""``coteach convert``, and old configurations for the commands that read one."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

import click

from coteach.cli.output import detail, say

_HEADER = "Translated from {origin}, a configuration of pytorch-segmentation-models-trainer."


@click.command(
    epilog="""Example: coteach convert old.yaml --output native.yaml && coteach train native.yaml

`coteach train old.yaml` does the same run.""",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def convert(config: Path, overrides: tuple[str, ...], output: Path | None) -> None:
    """Translate CONFIG, written for pytorch-segmentation-models-trainer 1.4, into a configuration of coteach.

    OVERRIDES are key=value, with the old keys. What cannot be had is listed, and nothing is written.
    """
    from coteach.cli.config import compose_config, parse_config, to_yaml
    from coteach.cli.data_paths import Node
    from coteach.compat.smt.config import is_legacy, translate
    from coteach.errors import ConfigError
    from coteach.files import write_text

    path, content = compose_config(config, overrides)
    if not is_legacy(content):
        raise ConfigError(
            str(config),
            "names no class of pytorch_segmentation_models_trainer",
            "coteach train takes it as it is",
        )
    translation = translate(content, str(path), path.stem)
    parse_config(translation.content, str(path))
    given: Node = {key: value for key, value in translation.content.items() if value is not None}
    text = _comment([_HEADER.format(origin=path.name), *translation.notes]) + to_yaml(given)
    if output is None:
        click.echo(text, nl=False)
        return
    write_text(output, text)
    say(f"written: {output}")


def _comment(lines: list[str]) -> str:
    """Lines as a comment of YAML; those after the first are a list."""
    wrapped = wrap(lines[0], 108)
    for line in lines[1:]:
        wrapped += wrap(line, 106, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in wrapped)


def native_form(content: dict[str, object], path: Path) -> dict[str, object]:
    """A configuration as this package understands it: an old one is translated, and that is said.

    Args:
        content: plain data.
        path: the file.

    Raises:
        ConfigError: an old one holds what cannot be had here.
    """
    from coteach.compat.smt.config import is_legacy, translate

    if not is_legacy(content):
        return content
    translation = translate(content, str(path), path.stem)
    say(f"{path} is of pytorch-segmentation-models-trainer: translated (coteach convert shows it)")
    for note in translation.notes:
        detail(f"  {note}")
    return translation.content
