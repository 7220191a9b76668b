"""Every package that a user installs has a licence compatible with Apache-2.0."""

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# The three forms in which packages declare licences. MPL-2.0 (certifi) has no condition for users who do not change its files.
ALLOWED = {
    "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
    "Apache 2.0", "MIT License",
    "License :: OSI Approved :: BSD License",
}  # fmt: skip
LOCKED = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


def declared(name: str) -> set[str]:
    """Return the licences of the expression, else of the short text, else of the classifiers."""
    about = metadata(name)
    expression = about.get("License-Expression") or about.get("License") or ""
    if expression and "\n" not in expression and len(expression) < 60:
        return set(re.split(r" (?:AND|OR) ", expression.strip("()")))
    return {one for one in about.get_all("Classifier") or [] if one.startswith("License ::")}


@pytest.mark.parametrize("name", LOCKED)
def test_dependency_licence_is_on_the_list(name):
    licences = declared(name)
    assert licences, f"{name} declares none"
    assert licences <= ALLOWED
