"""Fixtures for tests of all parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from jaxtyping import config

from coteach.data.samples import NcLandcover, prepare_nc_landcover

settings.register_profile("coteach", deadline=None)  # how long a case takes is no property of the code
settings.load_profile("coteach")


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
