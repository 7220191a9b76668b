"""Every security rule of ruff (`S`, from bandit) is applied; an exception has one rule, one place and a reason."""

import re

# For whole folders of tests: tests assert, and use marked secrets.
OF_TESTS = {"S101", "S105", "S106"}
NOQA = re.compile(r"#\s*(?:ruff:|flake8:)?\s*noqa(?P<codes>:[ A-Z0-9,]+)?(?P<reason>.*)$")
SECURITY = re.compile(r"\bS\d{3}\b")


def is_security(rule):
    return rule == "ALL" or re.fullmatch(r"S\d*", rule) is not None


def test_every_security_rule_is_selected(pyproject):
    lint = pyproject["tool"]["ruff"]["lint"]
    assert lint["select"] == ["ALL"]
    assert [rule for rule in lint["ignore"] if is_security(rule)] == []
    assert "exclude" not in pyproject["tool"]["ruff"]
    assert "exclude" not in lint


def test_folders_ignore_no_security_rule_but_three_in_tests(pyproject):
    ignored = pyproject["tool"]["ruff"]["lint"]["per-file-ignores"]
    found = {place: {rule for rule in rules if is_security(rule)} for place, rules in ignored.items()}
    assert {place: rules for place, rules in found.items() if rules} == {"tests/**": OF_TESTS}


def test_each_ignore_names_its_rules_and_a_reason(root, tracked):
    bare = []
    for path in tracked:
        if path.suffix == ".py":
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = NOQA.search(line)
                if match is None or '"' in line[match.start() :]:
                    continue
                codes = match["codes"] or ""
                if not codes or (SECURITY.search(codes) and not re.search(r"\w{3}", match["reason"])):
                    bare.append(f"{path.relative_to(root)}:{number}")
    assert bare == []
