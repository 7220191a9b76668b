"""The words of every alert, read from wording.yml: the expectation that promtool compares with.

Not for: deriving them from the rules; then nothing would guard what people read at night.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Wording:
    severity: str
    summary: str
    description: str
    dashboard: str
    scope: str = ""


WORDING: Mapping[str, Wording] = {
    alert: Wording(**words) for alert, words in yaml.safe_load(Path(__file__).with_name("wording.yml").read_text()).items()
}
