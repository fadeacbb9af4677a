"""The scenarios as Lambda's runtime client finds them: ``benchmarks.function.NAME``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios import SCENARIOS

if TYPE_CHECKING:
    from benchmarks.scenarios import Handler


def __getattr__(name: str) -> Handler:
    """Set the scenario up, when the runtime client looks for its handler."""
    if name not in SCENARIOS:
        raise AttributeError(name)
    return SCENARIOS[name]()
