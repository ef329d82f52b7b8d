"""What ``${…}`` in a configuration may stand for: other values of it, and nothing of the computer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from coteach.compat.smt.config import register_resolvers
from coteach.errors import ConfigError


@contextmanager
def without_environment() -> Iterator[None]:
    """Refuse ``${oc.env:NAME}``: a run's folder and its loggers keep the configuration, and would keep a secret, too."""
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    register_resolvers()
    OmegaConf.register_new_resolver("oc.env", _refuse, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _refuse(name: str, default: object = None) -> object:  # noqa: ARG001 -- as OmegaConf calls it
    cause = "a configuration is kept with its run, and does not read the environment"
    raise ConfigError(
        f"${{oc.env:{name}}}", cause, "write the value, or give it on the command line (KEY=$NAME)"
    )
