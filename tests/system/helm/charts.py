"""Renderings of the chart, one for each file of values: `python -m tests.system.helm.charts` writes the golden files."""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.patience import PROGRAM_SECONDS

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CHART = ROOT / "deploy" / "helm" / "ekm-exporter"
GOLDEN = HERE / "golden"
TOOLS = ROOT / ".cache" / "tools" / "bin"
CASES = sorted(path.stem for path in (HERE / "values").glob("*.yaml"))


def values(case: str) -> dict[str, Any]:
    """The values of a case as plain JSON: a date is a string."""
    given: dict[str, Any] = json.loads(json.dumps(yaml.safe_load((HERE / "values" / f"{case}.yaml").read_text()), default=str))
    return given


def helm(do: str, *given: dict[str, Any]) -> list[dict[str, Any]]:
    """The answer for each of these values, of one process."""
    orders = json.dumps([{"do": do, "chart": str(CHART), "values": one} for one in given])
    done = subprocess.run(  # noqa: S603 - fixed commands
        [TOOLS / "python", HERE / "render.py"], input=orders, capture_output=True, text=True, check=True, timeout=PROGRAM_SECONDS
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@functools.cache
def _rendered(given: str) -> dict[str, Any]:
    (answer,) = helm("render", json.loads(given))
    return answer


def rendered(given: dict[str, Any]) -> str:
    """All manifests in a fixed order. Fails with the message of Helm if it refuses."""
    answer = _rendered(json.dumps(given))
    assert "refused" not in answer, answer["refused"]
    parts = [text.strip("\n") for name, text in sorted(answer["files"].items()) if text.strip() and not name.endswith(".txt")]
    lines = "\n---\n".join(parts).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in CASES:
        (GOLDEN / f"{name}.yaml").write_text(rendered(values(name)))
