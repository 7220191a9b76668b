"""The web endpoint: exposition, probes on demand, HTML pages, JSON and health.

For: everything that serves an HTTP request.
Not for: probing, storing state, the meaning of a metric.
"""
