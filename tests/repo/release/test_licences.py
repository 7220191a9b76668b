"""Every package that a user installs has a licence compatible with Apache-2.0, and its text is shipped."""

from importlib.metadata import Distribution
from pathlib import Path

import pytest

from deploy import licences

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "requirements-windows.lock").read_text()  # with the extras
ALWAYS = (ROOT / "requirements.lock").read_text()


@pytest.fixture
def planted(tmp_path):
    """Return a function that puts a package with these lines of metadata into a folder."""

    def plant(*lines: str, text: str | None = "Permission is granted.") -> Path:
        place = tmp_path / "newcomer-1.0.dist-info"
        place.mkdir()
        (place / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", "Name: newcomer", "Version: 1.0", *lines, ""]))
        files = ["newcomer-1.0.dist-info/METADATA,,"]
        if text is not None:
            (place / "LICENSE").write_text(text)
            files.append("newcomer-1.0.dist-info/LICENSE,,")
        (place / "RECORD").write_text("\n".join([*files, ""]))
        return tmp_path

    return plant


@pytest.mark.parametrize("name", sorted(licences.locked(LOCK)))
def test_locked_package_has_an_accepted_licence_and_its_text(name):
    found = licences.licence(Distribution.from_name(name))
    assert found.name == name
    assert all(text.strip() for _, text in found.texts)


def test_page_lists_each_locked_package():
    assert (ROOT / "docs" / "maintainers" / "licences.md").read_text(encoding="utf-8") == licences.table(
        licences.collect(LOCK), licences.locked(ALWAYS)
    ), "run ./dev docs"


@pytest.mark.parametrize(
    ("lines", "expression"),
    [
        (["License-Expression: MIT OR Apache-2.0"], "MIT OR Apache-2.0"),
        (["License: MIT License"], "MIT"),
        (["Classifier: License :: OSI Approved :: BSD License"], "BSD-3-Clause"),
        ([f"License: {'Copyright (c) ' * 9}", "Classifier: License :: OSI Approved :: BSD License"], "BSD-3-Clause"),
    ],
)
def test_declared_form_becomes_an_spdx_expression(planted, lines, expression):
    (found,) = licences.collect("newcomer==1.0 \\\n", planted(*lines))
    assert (found.expression, found.texts) == (expression, (("LICENSE", "Permission is granted."),))


@pytest.mark.parametrize(
    ("lines", "text", "problem"),
    [
        ([], "text", "newcomer: no accepted licence: none"),
        (["License-Expression: GPL-3.0-only"], "text", "newcomer: no accepted licence: GPL-3.0-only"),
        (["License-Expression: MIT AND SSPL-1.0"], "text", "newcomer: no accepted licence: SSPL-1.0"),
        (["License-Expression: MIT"], None, "newcomer: no licence text"),
    ],
)
def test_new_dependency_without_a_known_licence_is_refused(planted, lines, text, problem):
    with pytest.raises(licences.LicenceError) as refused:
        licences.collect("newcomer==1.0 \\\n", planted(*lines, text=text))
    assert str(refused.value) == problem


def test_other_version_than_the_locked_one_is_refused(planted):
    with pytest.raises(licences.LicenceError, match=r"newcomer: version 2\.0 of the locked list is not here"):
        licences.collect("newcomer==2.0 \\\n", planted("License-Expression: MIT"))
