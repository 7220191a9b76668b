"""The texts of every alert as Prometheus renders them, compared with the reviewed texts of texts.yml.

Each alert is rendered once, at the first moment at which a case expects it. After a change of words,
`python -m tests.system.alerts.texts` writes texts.yml again; review the difference.
"""

import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from alerts.build import RULES
from tests.system.alerts.case import RuleCase, text_document
from tests.system.alerts.promtool import results

REVIEWED = Path(__file__).with_name("texts.yml")
_ALERT = re.compile(r"alertname: (\w+), time.*?\n(.*?)(?=\n    alertname: |\Z)", re.DOTALL)
_ANNOTATION = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def rendered(cases: Sequence[RuleCase], place: Path) -> dict[str, dict[str, str]]:
    """Return the annotations by alert, of the first alert that fires in a case."""
    chosen: dict[str, tuple[RuleCase, int]] = {}
    for case in cases:
        for second, alert, fired in case.checks:
            if fired:
                chosen.setdefault(alert, (case, second))
    by_case: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for alert, (case, second) in chosen.items():
        by_case[case.name].append((second, alert))
    named = {case.name: case for case in cases}
    for number, (name, checks) in enumerate(by_case.items()):
        text = yaml.dump(text_document(named[name], str(RULES), checks), Dumper=yaml.CSafeDumper, width=10**6)
        (place / f"texts{number:02}.yml").write_text(text)
    outputs = results(sorted(place.glob("texts*.yml")))
    return dict(sorted(pair for output in outputs.values() for pair in _parsed(output)))


def _parsed(output: str) -> list[tuple[str, dict[str, str]]]:
    found = []
    for name, body in _ALERT.findall(output):
        got = body.partition("got:")[2].partition("Annotations:{")[2].partition("}\n")[0]
        annotations = {key: value.encode().decode("unicode_escape") for key, value in _ANNOTATION.findall(got)}
        found.append(
            (
                name,
                {
                    key: annotations[key]
                    for key in ("summary", "description", "impact", "dashboard_url", "sql_servers")
                    if key in annotations
                },
            )
        )
    return found


def reviewed() -> Mapping[str, Mapping[str, str]]:
    return yaml.safe_load(REVIEWED.read_text())


if __name__ == "__main__":
    from tests.system.alerts.test_cases import CASES

    with tempfile.TemporaryDirectory() as folder:
        texts = rendered(list(CASES.values()), Path(folder))
    REVIEWED.write_text(yaml.safe_dump(texts, width=140, sort_keys=True, allow_unicode=True))
    sys.stdout.write(f"{len(texts)} alerts\n")
