"""Evidence per vault: the minutes of a month, from the history in Prometheus.

For: `history` reads it; classes of minutes, their arithmetic, and the rendering as CSV, JSON and HTML are pure.
Not for: a state of its own. The exporter keeps no history.
"""
