"""Fixtures for tests of all parts."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings
from jaxtyping import config

from coteach.data.samples import NcLandcover, prepare_nc_landcover

settings.register_profile("coteach", deadline=None)  # how long a case takes is no property of the code
settings.load_profile("coteach")

_HERE = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "", None, socket.gethostname()}


def _stay_here(event: str, arguments: tuple[object, ...]) -> None:
    """No test reaches another computer; sample data is fetched by package clients, in processes of their own."""
    host: object = None
    if event == "socket.connect":
        one, address = arguments
        if (
            isinstance(address, tuple) and getattr(one, "type", None) == socket.SOCK_STREAM
        ):  # UDP sends nothing yet
            host = address[0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    host = host.decode() if isinstance(host, bytes) else host
    if host not in _HERE and not str(host).startswith("127."):
        raise RuntimeError(f"a test asks for {host}, another computer")


sys.addaudithook(_stay_here)
# Some tests import albumentations before coteach does, and it asks for news then.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


@pytest.fixture(scope="session")
def nc_landcover() -> NcLandcover:
    """The North Carolina sample in the user's cache; fetched if it is not there."""
    return prepare_nc_landcover()


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch the run-time type checks off, to see what a user without them sees."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For tests that fork: a forked process has none of its parent's threads, and would wait for them."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
