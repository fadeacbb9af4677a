"""Medians of interleaved samples, as a table with ratios."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Claim(NamedTuple):
    """What is to be: one scenario at most so many times another."""

    scenario: str
    reference: str
    at_most: float


def show(
    title: str,
    unit: str,
    samples: Mapping[str, Sequence[float]],
    claims: Sequence[Claim] = (),
) -> bool:
    """Print medians and whether the claims hold; True if they all do.

    A ratio is the median of the ratios within a round, so that a machine whose speed
    drifts does not distort it.
    """
    print(f"\n{title}")
    width = max(len(name) for name in samples)
    print(f"  {'':<{width}}  {'median':>10} {'min':>10} {'max':>10}  {unit}")
    for name, values in samples.items():
        print(
            f"  {name:<{width}}  {statistics.median(values):>10.2f} "
            f"{min(values):>10.2f} {max(values):>10.2f}"
        )
    held = True
    for claim in claims:
        ratio = statistics.median(
            a / b
            for a, b in zip(
                samples[claim.scenario], samples[claim.reference], strict=True
            )
        )
        holds = ratio <= claim.at_most
        held = held and holds
        print(
            f"  {'ok  ' if holds else 'OVER'} {claim.scenario} / {claim.reference}: "
            f"{ratio:.2f} (at most {claim.at_most:g})"
        )
    return held
