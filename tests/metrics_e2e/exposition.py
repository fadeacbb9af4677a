"""Prometheus' text exposition format, as far as the Collector writes it."""

from __future__ import annotations

import re
from typing import NamedTuple

LINE = re.compile(r"([^\s{]+)\{(.*)\} (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """One line."""

    name: str
    labels: dict[str, str]
    value: float


def samples(text: str) -> list[Sample]:
    """The samples of a scrape; a series that comes twice is an error."""
    found = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        assert match, line
        labels = dict(LABEL.findall(match[2]))
        found.append(Sample(match[1], labels, float(match[3])))
    identities = {(name, frozenset(labels.items())) for name, labels, _ in found}
    assert len(identities) == len(found), "a series comes twice"
    return found


def by_instance(text: str, **labels: str) -> dict[str, dict[str, float]]:
    """Sample values by ``instance`` and name; buckets are named ``name{bound}``."""
    found: dict[str, dict[str, float]] = {}
    for name, has, value in samples(text):
        if any(has.get(label) != wanted for label, wanted in labels.items()):
            continue
        full_name = name if "le" not in has else f"{name}{{{float(has['le']):g}}}"
        found.setdefault(has["instance"], {})[full_name] = value
    return found
