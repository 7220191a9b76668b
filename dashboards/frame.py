"""What every dashboard has around its panels: uid, variables, links, refresh; and the addresses that panels link to.

For: one look and one way around for all five.
Not for: panels (see `panels`), what a dashboard holds (one module each).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard as building
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.cog import builder as cog
from grafana_foundation_sdk.models import dashboard

from alerts.values import SITE
from dashboards.panels import DATASOURCE, WIDTH, Panel
from dashboards.sheets import HIDDEN, Property, column, link, mapped
from dashboards.words import NUMBERS

TAG: Final = "ekm-exporter"
FLEET, VAULT, EXPIRY, SLO, EXPORTER = "ekm-fleet", "ekm-vault", "ekm-expiry", "ekm-service-level", "ekm-exporter"
# Constants of each dashboard, so that a site with its pages elsewhere changes one value.
CONSTANTS: Final[Mapping[str, str]] = {"runbooks": f"{SITE}/runbooks", "codes": f"{SITE}/codes.md"}

_KEEP: Final = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
Row = tuple[str, Sequence[Panel]]


def to_vault(field: str) -> Property:
    """A link from a cell to the vault dashboard of the target that stands in this field of its row."""
    return link("Dashboard of the target", f'/d/{VAULT}?var-target=${{__data.fields["{field}"]}}&{_KEEP}')


def code_column(panel: table.Panel, *properties: Property) -> table.Panel:
    """The column `Code` as a number with its counterpart code, linked to its page; needs a column `Page`, which it hides."""
    column(panel, "Page", *HIDDEN)
    to_page = link("What the code means, with causes and first actions", '${codes}#${__data.fields["Page"]}')
    return column(panel, "Code", mapped(NUMBERS), to_page, *properties, width=100)


def to_runbook(field: str) -> Property:
    return link("Runbook", f'${{runbooks}}/${{__data.fields["{field}"]}}.md')


def runbook(name: str) -> building.DashboardLink:
    """A link from a panel to the runbook that speaks of it."""
    return building.DashboardLink(f"Runbook {name}").type(dashboard.DashboardLinkType.LINK).url(f"${{runbooks}}/{name}.md")


def _choice(
    name: str, label: str, query: str, *, all_of_them: bool = True, description: str = ""
) -> cog.Builder[dashboard.VariableModel]:
    variable = building.QueryVariable(name).label(label).description(description).datasource(DATASOURCE)
    variable.query({"query": query, "refId": f"variable-{name}"}).refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable.sort(dashboard.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC).multi(all_of_them).include_all(all_of_them)
    if all_of_them:
        variable.all_value(".+").current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    return variable


class _Hidden(building.ConstantVariable):
    """A constant that takes no room in the row of variables."""

    def build(self) -> dashboard.VariableModel:
        made = super().build()
        made.hide = dashboard.VariableHide.HIDE_VARIABLE
        return made


def constant(name: str, value: str, description: str) -> cog.Builder[dashboard.VariableModel]:
    return _Hidden(name).value(value).description(description)


def variables(
    *, targets: bool = True, one_target: bool = False, credentials: bool = False
) -> list[cog.Builder[dashboard.VariableModel]]:
    """Data source, job and instance; and vault and target, or just one target, or credential, where the dashboard speaks of them."""
    which = 'job=~"$job", instance=~"$instance"'
    chosen: list[cog.Builder[dashboard.VariableModel]] = [
        building.DatasourceVariable("datasource").label("Data Source").type("prometheus"),
        _choice("job", "Job", "label_values(ekm_exporter_build_info, job)", description="Scrape job of the exporters"),
        _choice(
            "instance", "Exporter", 'label_values(ekm_exporter_build_info{job=~"$job"}, instance)', description="One exporter"
        ),
    ]
    if targets:
        chosen.append(
            _choice("vault", "Vault", f"label_values(ekm_target_info{{{which}}}, vault)", description="Host name of the vault")
        )
        query = f'label_values(ekm_target_info{{{which}, vault=~"$vault"}}, target)'
        chosen.append(_choice("target", "Target", query, all_of_them=not one_target, description="A vault and key as configured"))
    if credentials:
        query = f"label_values(ekm_credential_expiry_known{{{which}}}, credential)"
        chosen.append(_choice("credential", "Credential", query, description="As configured"))
    constants = [constant(name, value, f"Where the {name} are served") for name, value in CONSTANTS.items()]
    return [*chosen, *constants]


def _links() -> list[cog.Builder[dashboard.DashboardLink]]:
    kind = dashboard.DashboardLinkType
    others = building.DashboardLink("EKM dashboards").type(kind.DASHBOARDS).tags([TAG]).include_vars(True).keep_time(True)
    books = building.DashboardLink("Runbooks").type(kind.LINK).url("${runbooks}").icon("doc").target_blank(True)
    codes = building.DashboardLink("Codes").type(kind.LINK).url("${codes}").icon("doc").target_blank(True)
    return [others, books, codes]


def framed(
    uid: str,
    title: str,
    description: str,
    choices: Sequence[cog.Builder[dashboard.VariableModel]],
    rows: Iterable[Row],
    *,
    since: str = "now-6h",
) -> building.Dashboard:
    """A dashboard of rows. A row with a title gets a heading; its panels flow from left to right."""
    board = building.Dashboard(title).uid(uid).description(description).tags([TAG]).readonly().timezone("browser").refresh("30s")
    board.time(since, "now").tooltip(dashboard.DashboardCursorSync.CROSSHAIR).variables(list(choices)).links(_links())
    for heading, panels in rows:
        if heading:
            board.with_row(building.Row(heading))
        for panel in panels:
            board.with_panel(panel)  # type: ignore[arg-type]  # a builder by shape
    return board


def finished(board: building.Dashboard) -> dashboard.Dashboard:
    """The dashboard with a stable number for each panel; raises ValueError where a line of panels is not as wide as the grid."""
    built = board.build()
    lines: dict[int, int] = {}
    for number, panel in enumerate(built.panels or [], 1):
        panel.id_val = number
        if isinstance(panel, dashboard.Panel) and panel.grid_pos is not None:
            lines[panel.grid_pos.y] = lines.get(panel.grid_pos.y, 0) + panel.grid_pos.w
    ragged = [y for y, width in lines.items() if width != WIDTH]
    if ragged:
        raise ValueError(f"{built.uid}: lines of panels at {ragged} are not {WIDTH} columns wide")
    return built
