"""The web endpoint: the exposition, probes on request, pages for people, JSON, health.

For: everything that answers an HTTP request.
Not for: probing, keeping state, or knowing what a metric means.
"""
