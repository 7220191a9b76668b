"""Series of exporters in the notation of `promtool test rules`: each value with the number of its repetitions."""

from collections.abc import Iterable, Iterator, Mapping

from tests.system.alerts.timeline import Exporter, Sample, Scraped

NOTHING = "_"
Series = Mapping[str, str]


def series(exporters: Iterable[Exporter], length: int, scrape: int) -> list[Series]:
    """`input_series` for `length` seconds."""
    return [
        {"series": name, "values": values} for exporter in exporters for name, values in _of_exporter(exporter, length, scrape)
    ]


def _of_exporter(exporter: Exporter, length: int, scrape: int) -> Iterator[tuple[str, str]]:
    scraped, runs = Scraped(exporter, scrape), dict[Sample, list[tuple[str, int]]]()
    for place, now in enumerate(range(0, length + 1, scrape)):
        _append(runs, scraped.scrape(now), place)
    for (name, labels), values in runs.items():
        yield _named(name, "", labels, exporter), " ".join(_repeated(value, count) for value, count in values)
    own = [
        (exporter.more, ()),
        *((target.more, (("target", target.name), ("vault", target.vault))) for target in exporter.targets),
    ]
    for more, labels in own:
        for name, written in more.items():
            bare, _, inner = name.removesuffix("}").partition("{")
            yield _named(bare, inner, labels, exporter), written


def _append(runs: dict[Sample, list[tuple[str, int]]], shown: Mapping[Sample, float], place: int) -> None:
    for sample in shown.keys() - runs.keys():
        runs[sample] = [(NOTHING, place)] if place else []
    for sample, values in runs.items():
        last = values[-1][0] if values else NOTHING
        value = _number(shown[sample]) if sample in shown else NOTHING if last in (NOTHING, "stale") else "stale"
        if values and last == value:
            values[-1] = (value, values[-1][1] + 1)
        else:
            values.append((value, 1))


def _number(value: float) -> str:
    return str(int(value))


def _repeated(value: str, count: int) -> str:
    if value == "stale":
        return " ".join(["stale"] * count)
    if value == NOTHING:
        return f"{NOTHING}x{count}"
    return value if count == 1 else f"{value}x{count - 1}"


def _named(name: str, inner: str, labels: Iterable[tuple[str, str]], exporter: Exporter) -> str:
    """A series written as name{labels}, with the labels of its exporter."""
    own = {**dict(labels), "instance": exporter.instance, "job": exporter.job, **exporter.labels}
    pairs = [f'{label}="{value.translate(_ESCAPES)}"' for label, value in own.items()]
    return f"{name}{{{','.join([*([inner] if inner else []), *pairs])}}}"


_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
