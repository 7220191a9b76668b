"""The minutes of a month, from the history in Prometheus.

Nothing here is imported by `run`. `history` reads, `minutes` classifies and `render` writes; the last two are pure.
"""
