"""Evidence per vault: the minutes of a month, from the history in Prometheus.

For: classes of minutes, their arithmetic, and the rendering as CSV, JSON and HTML.
Not for: requests to Prometheus (`inventory.history`).
"""
