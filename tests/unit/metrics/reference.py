"""The same metrics, kept by prometheus_client: what the product's bytes are compared with.

Written straight from the public contract, without any of the product's own modules for values or rendering; only names and
HELP texts come from the table.
"""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from exporter.core.values import Outcome
from exporter.knowledge.codes import BY_CODE, CODES
from exporter.metrics.families import SHARED_METRICS, possible_codes
from exporter.metrics.target_families import TARGET_METRICS

NO = {"classic": {3011: 3011, 3077: 3077}, "current": {3011: 3109, 3077: 3113}}
REFUSED = {
    "secret_expired",
    "secret_wrong",
    "credentials_refused",
    "certificate_unknown",
    "certificate_expired",
    "certificate_refused",
    "federation_unmatched",
    "application_unknown",
    "application_not_in_tenant",
    "application_id_invalid",
    "application_disabled",
    "conditional_access",
    "sign_in_refused",
    "tenant_unknown",
    "tenant_blocked",
    "secret_too_short",
    "certificate_unusable",
}


class Reference(Collector):
    """Fed with the same targets and reports as a recorder, it collects what a scrape should show."""

    def __init__(self, config):
        self.config = config
        self.samples = {}  # family -> target or other owner -> [(labels, value)]
        self.counted = {}
        self.hist = {}
        self.minute, self.vaults, self.present = {}, {}, {}
        self.now = 0.0
        for row in CODES:
            if row in possible_codes(config):
                labels = {"code": row.code, "symbol": row.symbol, "category": row.category, "owner": row.owner}
                self._gauge(
                    "ekm_error_info",
                    row.code,
                    labels
                    | {
                        "summary": row.summary,
                        "action": row.actions[0],
                    },
                    1,
                )

    def add(self, target):
        steps = ["challenge", "token", "get_key"]
        if self.config.modules[target.module].mode != "read_only":
            steps += ["wrap_key", "unwrap_key"]
        alerted = {
            "challenge": [],
            "token": [],
            **{step: [NO[target.generation][3011], NO[target.generation][3077]] for step in steps[2:]},
        }
        self.counted[target.name] = {
            "ekm_probes_total": {(): 0},
            "ekm_probe_failures_total": {(): 0},
            "ekm_unsteady_failures_total": {(): 0},
            "ekm_probe_verdicts_total": {(("verdict", verdict),): 0 for verdict in ("ready", "not_ready")},
            "ekm_errors_total": {(("step", step), ("code", str(code))): 0 for step in steps for code in alerted[step]},
            "ekm_throttled_total": {(("step", step),): 0 for step in steps},
            "ekm_path_changes_total": {(("what", what),): 0 for what in ("region", "connection", "tls_issuer")},
        }
        self.hist[target.name] = {step: [] for step in steps}
        self._declared(target, None)
        for name in sorted({target.credential, target.next_credential} - {None}):
            day = self.config.credentials[name].expires_on
            if day is not None:
                midnight = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
                labels = {"credential": name, "source": "declared"}
                self._gauge("ekm_credential_expiry_timestamp_seconds", name, labels, midnight)
            self._gauge("ekm_credential_expiry_known", name, {"credential": name}, float(day is not None))
            client_id = self.config.credentials[name].client_id
            if client_id:
                self._gauge("ekm_credential_info", name, {"credential": name, "client_id": client_id}, 1)

    def _declared(self, target, tenant):
        module, credential = self.config.modules[target.module], self.config.credentials[target.credential]
        own = {
            "key": target.key_name + (f"/{target.key_version}" if target.key_version else ""),
            "credential": target.credential,
            "module": target.module,
            "mode": module.mode,
            "cloud": "public" if target.vault.endswith(".vault.azure.net") else "",
            "tenant": tenant or credential.tenant_id or "",
            "generation": target.generation,
            "pin": "config" if target.key_version else "none",
            "vantage": self.config.settings.vantage,
            "thumbprint": target.thumbprint or "",
        }
        self._of(target, "ekm_target_info", own | dict(target.labels), 1)
        self._of(target, "ekm_probe_interval_seconds", {}, target.interval)
        seen = []
        for instance in target.instances:
            if instance not in seen:
                seen.append(instance)
        self._gauges("ekm_instance_info", target, [(dict(each), 1) for each in seen])
        if target.backup_on:
            day = target.backup_on
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
            self._of(target, "ekm_key_backup_timestamp_seconds", {}, midnight)

    def take(self, report, standing, advice):
        """For reports that are not discarded. `advice` has the action that the pages show first."""
        target = self.config.targets[report.target]
        counted = self.counted[target.name]
        self.now = report.started_at + report.duration
        counted["ekm_probes_total"][()] += 1
        good = any(step.outcome == "ok" for step in report.steps) and not any(step.outcome == "failed" for step in report.steps)
        counted["ekm_probe_failures_total"][()] += not good
        both = self.config.modules[target.module].mode != "read_only"
        for verdict, ready in (("ready", True), ("not_ready", False)) if both else ():
            counted["ekm_probe_verdicts_total"][(("verdict", verdict),)] += report.readiness.ready is ready
        made = [step for step in report.steps if step.outcome is not Outcome.SKIPPED]
        for step in made:
            if step.code is not None:
                pair = (("step", step.step), ("code", str(step.code)))
                counted["ekm_errors_total"][pair] = counted["ekm_errors_total"].get(pair, 0) + 1
            if not step.shared:
                self.hist[target.name].setdefault(step.step, []).append(step.duration)
                if step.facts and step.facts.status == 429 and step.facts.fault != "proxy_status":
                    key = (("step", step.step),)
                    counted["ekm_throttled_total"][key] = counted["ekm_throttled_total"].get(key, 0) + 1
        self._last(target, report, made, good=good)
        self._known(target, report)
        self._path(target, report)
        self._endpoints(report)
        self._budget(target, report)
        self._gauges("ekm_failure_action_info", target, [] if advice is None else [(advice._asdict(), 1)])
        self.present[target.name] = self._incident(target, report, standing, made)
        counted["ekm_unsteady_failures_total"][()] += self.present[target.name][1]
        for name, value in {
            "ekm_consecutive_failures": standing.consecutive_failures,
            "ekm_consecutive_blocking_failures": standing.consecutive_blocking,
            "ekm_consecutive_unready_probes": standing.consecutive_unready,
            "ekm_last_success_timestamp_seconds": standing.last_success_at,
            "ekm_next_probe_timestamp_seconds": standing.next_probe_at,
        }.items():
            self._gauges(name, target, [] if value is None else [({}, value)])

    def _incident(self, target, report, standing, made):
        """Return when the failure began if it pages, whether it is counted as unsteady, and its page now and once the credential ended."""
        bad = [step for step in made if step.outcome is Outcome.FAILED]
        deciding = [step for step in bad if step.step != "wrap_key"] if report.readiness.ready is False else []
        if not bad:
            return None, False, None, None
        first = (deciding or bad)[0]
        away = {3011: "throttled", 3109: "throttled", 3077: "forbidden", 3113: "forbidden"}.get(first.code)
        states = ("key_disabled", "key_expired", "key_not_yet_valid")
        wrap = first.step == "wrap_key" and away and first.reason not in states
        run = standing.consecutive_failures if wrap else standing.consecutive_unready
        waits = standing.next_probe_at is not None and standing.next_probe_at - report.started_at > 1.5 * target.interval
        least = 3 if target.interval >= 300 or (waits and away == "throttled") else 4
        page = ended = away or "not_ready"
        if first.step == "token":
            page = ended = "turned_away" if away else "not_ready"
            if not away and first.reason in REFUSED:
                page, ended = "refused", "expired"
            if not away and first.reason in ("secret_expired", "certificate_expired"):
                page = "expired"
        if first.step == "challenge" and first.reason == "dns_not_found":
            page = ended = "name_gone"
        if first.reason == "key_soft_deleted":
            page = ended = "key_deleted"
        unsteady = 0 < run < least and standing.consecutive_blocking > 0
        return standing.state_since if run >= least else None, unsteady, page, ended

    def _show_incident(self, target):
        began, _, page, ended = self.present.get(target.name, (None, False, None, None))
        day = self.config.credentials[target.credential].expires_on
        if day is not None and datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() <= self.now:
            page = ended
        for own, _ in self.samples.get("ekm_failure_action_info", {}).get(target.name, ()):
            own["page"] = page
        self._gauges("ekm_incident", target, [] if began is None else [({"page": page, "cause": "", "name": ""}, began)])

    def group(self, causes):
        """`causes` are link, name and reason of the status page, the most urgent first, each with its targets."""
        for target in self.config.targets.values():
            self._show_incident(target)
            own = [labels for labels, targets in causes if target.name in targets]
            self._gauges("ekm_failure_cause_info", target, [(labels, 1) for labels in own])
        for labels, targets in causes:
            instances = [each for name in targets for each in self.config.targets[name].instances]
            servers = {(each["sql_instance"].casefold(), each.get("host", "")) for each in instances if each.get("sql_instance")}
            for name, value in (("info", 1), ("targets", len(targets)), ("sql_servers", len(servers))):
                self._gauge(f"ekm_common_cause_{name}", str(labels), labels, float(value))

    def _last(self, target, report, made, *, good):
        bad = [step for step in made if step.outcome is Outcome.FAILED]
        token = next((step for step in made if step.step == "token"), None)
        self._of(target, "ekm_probe_success", {}, float(good))
        self._of(target, "ekm_probe_duration_seconds", {}, report.duration)
        self._of(target, "ekm_last_probe_timestamp_seconds", {}, report.started_at)
        self._gauges("ekm_step_success", target, [({"step": s.step}, float(s.outcome == "ok")) for s in made])
        phases = [({"step": s.step, "phase": p}, v) for s in made if s.facts and not s.shared for p, v in s.facts.phases.items()]
        self._gauges("ekm_step_phase_duration_seconds", target, phases)
        waits = [(s.step, s.facts.retry_after_seconds) for s in made if s.facts]
        self._gauges("ekm_retry_after_seconds", target, [({"step": step}, wait) for step, wait in waits if wait is not None])
        info, code = [], 0.0 if good else None
        if bad:
            # Databases open without wrap_key, so a verdict of not ready is due to another step.
            deciding = [step for step in bad if step.step != "wrap_key"] if report.readiness.ready is False else []
            bad = deciding or bad
            code = bad[0].code
            symbol = BY_CODE[code].symbol
            info = [({"step": bad[0].step, "code": str(code), "symbol": symbol, "reason": bad[0].reason}, 1)]
        self._gauges("ekm_last_failure_info", target, info)
        self._gauges("ekm_last_error_code", target, [] if code is None else [({}, code)])
        ready = report.readiness.ready
        self._gauges("ekm_vault_side_ready", target, [] if ready is None else [({}, float(ready))])
        usable = []
        if token and (token.outcome == "ok" or token.reason in REFUSED):
            usable = [({"credential": target.credential, "role": "current"}, float(token.outcome == "ok"))]
        self._gauges("ekm_credential_usable", target, usable)

    def _known(self, target, report):
        key = report.key
        if key is not None:
            own = {"key": key.name, "version": key.version, "kty": key.kty, "size_bits": str(key.size_bits)}
            self._of(target, "ekm_key_info", own, 1)
            supported = key.kty in ("RSA", "RSA-HSM") and key.size_bits in (2048, 3072)
            for name, value in {
                "ekm_key_enabled": key.enabled,
                "ekm_key_supported": supported,
                "ekm_key_expiry_timestamp_seconds": key.expires,
                "ekm_key_not_before_timestamp_seconds": key.not_before,
            }.items():
                self._gauges(name, target, [] if value is None else [({}, float(value))])

    def _path(self, target, report):
        vault = self.vaults.setdefault(target.name, {})
        before = dict(vault)
        endpoint = target.vault if ":" in target.vault else f"{target.vault}:443"
        for facts in (step.facts for step in report.steps if step.facts is not None):
            if facts.certificate is not None and facts.endpoint == endpoint:
                vault["tls_issuer"] = facts.certificate.issuer
        for step in report.steps:
            if step.facts is not None and step.facts.vault is not None and step.step != "token":
                for label in ("region", "service_version", "connection"):
                    if getattr(step.facts.vault, label):
                        vault[label] = getattr(step.facts.vault, label)
        for what in ("region", "connection", "tls_issuer"):
            if what in before and before[what] != vault[what]:
                self.counted[target.name]["ekm_path_changes_total"][("what", what),] += 1
        own = {label: vault.get(label, "") for label in ("region", "service_version", "connection")}
        self._gauges("ekm_vault_info", target, [(own, 1)] if any(own.values()) else [])
        if report.tenant:
            self._declared(target, report.tenant)

    def _endpoints(self, report):
        now, shown = report.started_at, {}
        for step in report.steps:
            if step.facts is None or step.shared:
                continue
            now = min(now + step.duration, report.started_at + report.duration)
            where = step.facts.endpoint
            values = {} if where is None else shown.setdefault(where, {})
            if step.facts.certificate is not None:
                values["ekm_tls_certificate_expiry_timestamp_seconds"] = step.facts.certificate.not_after
            if step.facts.server_time is not None:
                values["ekm_clock_skew_seconds"] = step.facts.server_time + 0.5 - now
        for where, values in shown.items():
            for name, value in values.items():
                self._gauge(name, where, {"endpoint": where}, value, only=True)

    def _budget(self, target, report):
        if not target.vault.endswith(".vault.azure.net"):
            return
        software, hsm = {2048: 4000, 3072: 1000, 4096: 500}, {2048: 2000, 3072: 500, 4096: 250}
        used = 0.0
        for step in report.steps:
            proxy = step.facts is not None and step.facts.fault == "proxy_status"
            sent = step.facts is not None and step.facts.phase_reached in ("wait", "transfer")
            if step.step == "token" or not sent:
                continue
            if step.facts.status == 429 and not proxy and not step.shared:
                continue
            limit = 4000
            if step.step in ("wrap_key", "unwrap_key") and report.key is not None:
                limit = (hsm if report.key.kty.endswith("-HSM") else software).get(report.key.size_bits, 4000)
            used += 1 / limit
        minute = self.minute.setdefault(target.vault, {})
        slot = int(report.started_at // 10)
        minute[slot] = minute.get(slot, 0.0) + used
        now = int((report.started_at + report.duration) // 10)
        recent = {at: share for at, share in minute.items() if abs(at - now) < 6}
        self.minute[target.vault] = recent
        self._gauge(
            "ekm_request_budget_ratio", target.vault, {"vault": target.vault}, max(recent.values(), default=0.0), only=True
        )

    def _of(self, target, name, own, value):
        self._gauges(name, target, [(own, value)])

    def _gauges(self, name, target, samples):
        """Owners come in the order in which they got their series."""
        base = {"target": target.name, "vault": target.vault}
        owners = self.samples.setdefault(name, {})
        if samples:
            owners[target.name] = [(own | base, value) for own, value in samples]
        else:
            owners.pop(target.name, None)

    def _gauge(self, name, owner, labels, value, *, only=False):
        owners = self.samples.setdefault(name, {})
        labels = {label: str(text) for label, text in labels.items()}
        if only or not any(labels == old for old, _ in owners.get(owner, [])):
            owners[owner] = [(labels, value)]

    def collect(self):
        for spec in (*TARGET_METRICS, *SHARED_METRICS):
            family = self._counters(spec) if spec.kind in ("counter", "histogram") else self._gauge_family(spec)
            if family.samples:
                yield family

    def _gauge_family(self, spec):
        family = GaugeMetricFamily(spec.name, spec.help_text)
        for samples in self.samples.get(spec.name, {}).values():
            for labels, value in samples:
                family.add_sample(spec.name, labels, value)
        return family

    def _counters(self, spec):
        family = None
        for name, counted in self.counted.items():
            base = {"target": name, "vault": self.config.targets[name].vault}
            one = self._histogram(spec, name, base) if spec.kind == "histogram" else self._counter(spec, counted[spec.name], base)
            if family is None:
                family = one
            else:
                family.samples += one.samples
        kind = HistogramMetricFamily if spec.kind == "histogram" else CounterMetricFamily
        return family or kind(spec.name, spec.help_text)

    def _counter(self, spec, values, base):
        counter = Counter(spec.name, spec.help_text, (*base, *spec.own), registry=CollectorRegistry())
        for own, value in values.items():
            counter.labels(**base, **dict(own)).inc(value)
        return next(iter(counter.collect()))

    def _histogram(self, spec, name, base):
        buckets = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
        histogram = Histogram(spec.name, spec.help_text, (*base, *spec.own), buckets=buckets, registry=CollectorRegistry())
        for step, seen in self.hist[name].items():
            child = histogram.labels(**base, step=step)
            for seconds in seen:
                child.observe(seconds)
        return next(iter(histogram.collect()))
