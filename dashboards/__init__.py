"""The Grafana dashboards: small typed modules, and the JSON that they render."""
