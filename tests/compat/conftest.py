"""Fixtures for tests of old configurations."""

import pytest
from legacy_project import make_project


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A project with soft labels of six tiles."""
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def at_project(project, monkeypatch):
    """The project as working directory."""
    monkeypatch.chdir(project)
    return project
