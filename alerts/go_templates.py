"""Pieces of Go templates: replacements, queries and lists of what a query finds."""

from __future__ import annotations


def filled(text: str, *replacements: tuple[str, str]) -> str:
    """Return a template expression that replaces each word in `text`, in order."""
    for word, value in replacements:
        text = f'reReplaceAll "{word}" {value} ({text})'
    return text


def query_of(query: str, labels: str) -> str:
    """Return the query, with each %q replaced by the value of one of the alert's labels."""
    return f"query (printf `{query}` {' '.join(f'$labels.{label}' for label in labels.split())})"


def listed(query: str, labels: str, by: str, each: str, none: str = "") -> str:
    """Return a list of what the query finds, sorted by a label and separated by commas."""
    begin = "{{ range $place, $one := " + query_of(query, labels) + f' | sortByLabel "{by}" ' + "}}"
    otherwise = "{{ else }}" + none if none else ""
    return begin + "{{ if $place }}, {{ end }}" + each + otherwise + "{{ end }}"
