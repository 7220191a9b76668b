"""What the tests of several parts of a release need."""

import importlib

import pytest

from docs.generators.site import ROOT


@pytest.fixture
def deploy_module(monkeypatch):
    """Return a function that imports a module of the folder `deploy`, which is no package."""
    monkeypatch.syspath_prepend(str(ROOT / "deploy"))
    return importlib.import_module
