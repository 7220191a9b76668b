"""Metric definitions, samples and exposition.

Must not probe, send requests or know HTTP.
"""
