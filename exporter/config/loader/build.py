"""Build a `Config` from the sections of all files; check names and references."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from exporter.config.loader.build_credentials import build_credential
from exporter.config.loader.build_modules import build_module
from exporter.config.loader.build_sql_servers import REPLACED_BY, SqlServerBuilder
from exporter.config.loader.build_targets import RawTarget, build_globals, build_target
from exporter.config.loader.contradictions import check_lookup_credentials, check_target
from exporter.config.loader.defaults import SectionWithDefaults
from exporter.config.loader.includes import LoadedFiles
from exporter.config.settings import DEFAULT_MODULE, Config, Module, SqlServer
from exporter.config.settings.schema import REFERENCES
from exporter.config.yaml import Location, ProblemList, Section
from exporter.core.probe_starts import slots_for
from exporter.core.suggestions import nearest


@dataclass(slots=True)
class Declarations:
    """The sections by name, for later problems and warnings."""

    main: Location
    credentials: dict[str, Section | None] = field(default_factory=dict)
    modules: dict[str, Section | None] = field(default_factory=dict)
    targets: dict[str, RawTarget] = field(default_factory=dict)
    sql_servers: dict[str, SectionWithDefaults] = field(default_factory=dict)  # by address
    concurrency: bool = False
    complete: bool = True


def build_config(loaded: LoadedFiles, problems: ProblemList) -> tuple[Config | None, Declarations | None]:
    """Build the configuration; None if there is any problem. Problems are reported."""
    if not loaded.parts:
        return None, None
    parts = loaded.parts
    declared = Declarations(parts[0].location, complete=loaded.complete)
    _declare_names(parts, declared)
    _check_references(parts, declared)
    globals_ = build_globals(parts[0].get("global"), declared.main)
    targets = [build_target(raw, globals_) for raw in _declare_targets(parts, declared)]
    check_lookup_credentials(declared.credentials, declared.targets)
    credentials = [build_credential(name, section) for name, section in declared.credentials.items() if section is not None]
    modules = [build_module(name, section) for name, section in declared.modules.items() if section is not None]
    sql_servers = _build_sql_servers(parts, declared)
    if problems.errors:
        return None, declared
    config = Config(
        settings=globals_.settings,
        credentials={credential.name: credential for credential in credentials if credential is not None},
        modules={DEFAULT_MODULE: Module(name=DEFAULT_MODULE)} | {module.name: module for module in modules},
        targets={
            target.name: replace(target, config_file=loaded.files[0], vantage=globals_.settings.vantage)
            for target in targets
            if target is not None
        },
        sql_servers=sql_servers,
        files=tuple(loaded.files),
    )
    if not declared.concurrency:
        enough = slots_for([(target.interval, target.timeout) for target in config.targets.values()])
        config = replace(config, settings=replace(config.settings, concurrency=enough))
    return config, declared


def _declare_names(parts: list[Section], declared: Declarations) -> None:
    settings: Section | None = parts[0].get("global")
    declared.concurrency = settings is not None and settings.is_set("concurrency")
    for part in parts:
        for kind, known in (("credentials", declared.credentials), ("modules", declared.modules)):
            for name, section in (part.get(kind) or {}).items():
                first = known.setdefault(name, section)
                if first is not section and first is not None and section is not None:
                    section.location.error(f"declared twice, first at {first.location.where}: rename or remove one")


def _declare_targets(parts: list[Section], declared: Declarations) -> Iterator[RawTarget]:
    count = 0
    for part in parts:
        for section in part.get("targets") or ():
            count += 1
            raw = RawTarget(section, part.get("target_defaults"))
            name = section.get("name")
            if name is not None and declared.targets.setdefault(name, raw) is not raw:
                first = declared.targets[name].own.location_of("name")
                section.location_of("name").error(f"another target has this name, at {first.where}: rename one")
            check_target(raw)
            yield raw
    unreadable = any(part.is_set("targets") and part.get("targets") != [] for part in parts)
    if not count and not unreadable and declared.complete:
        declared.main.child("targets").error("at least one target is required")


def _build_sql_servers(parts: list[Section], declared: Declarations) -> dict[str, SqlServer]:
    builder, found = SqlServerBuilder(declared.credentials), dict[str, SqlServer]()
    for part in parts:
        for section in part.get("sql_servers") or ():
            raw = SectionWithDefaults(section, part.get("sql_server_defaults"), REPLACED_BY)
            server = builder.build(raw)
            if server is not None:
                declared.sql_servers[server.address], found[server.address] = raw, server
    return found


def _check_references(parts: list[Section], declared: Declarations) -> None:
    unreadable = {kind for kind in ("credentials", "modules") for part in parts if part.is_set(kind) and part.get(kind) is None}
    known = {"credentials": tuple(declared.credentials), "modules": (*declared.modules, DEFAULT_MODULE)}
    for section in _referring(parts):
        for name, kind in REFERENCES.items():
            for reference, location in _references(section, name):
                if reference not in known[kind] and kind not in unreadable and declared.complete:
                    action = nearest(reference, known[kind]) or f": declare it under {kind}"
                    location.error(f"no {kind.removesuffix('s')} has this name{action}")


def _references(section: Section, name: str) -> Iterator[tuple[str, Location]]:
    """Each name in a field, single or in a list, and its location."""
    value, location = section.get(name), section.location_of(name)
    if isinstance(value, str):
        yield value, location
    elif isinstance(value, list):
        yield from ((each, location.item(index)) for index, each in enumerate(value))


def _referring(parts: list[Section]) -> Iterator[Section]:
    for part in parts:
        yield from (section for section in (part.get("credentials") or {}).values() if section is not None)
        for defaults, entries in (("target_defaults", "targets"), ("sql_server_defaults", "sql_servers")):
            lenders = [part.get(defaults)] if part.get(defaults) is not None else []
            for section in (*lenders, *(part.get(entries) or ())):
                yield section
                yield from section.get("retained_versions") or ()
