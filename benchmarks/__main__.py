"""Runs the measurements named on the command line, or all of them."""

from __future__ import annotations

import argparse
import compileall
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import powertools_otel
from benchmarks import sink
from benchmarks.scenarios import environment
from benchmarks.table import Claim, show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def per_span(rounds: int) -> bool:
    """What capture_method costs over a bare SDK span, in one process."""
    from benchmarks.per_call import spans

    samples = spans(rounds)
    return show(
        "A span, response capture off",
        "us",
        samples,
        [
            Claim("capture_method", "start_as_current_span", 1.3),
            Claim("with the application's provider", "start_as_current_span", 1.3),
        ],
    )


def per_metric(rounds: int) -> bool:
    """What a metric costs from add_metric to its share of the flush."""
    from benchmarks.per_call import metrics

    samples = metrics(rounds)
    return show(
        "A metric, its share of the flush included",
        "us",
        samples,
        [
            Claim("ours", "EMF to /dev/null", 2.5),
            Claim("ours", "SDK instruments, collect, encode", 0.5),
        ],
    )


def warm(rounds: int) -> bool:
    """What tracing adds to a warm handler, receiver on loopback."""
    samples = _warm(("nothing", "ours", "xray", "stock"), rounds)
    added = _less(samples, "nothing")
    return show(
        "Warm handler with 5 spans: what is added",
        "us",
        added,
        [Claim("ours", "stock", 0.5)],
    )


def warm_both(rounds: int) -> bool:
    """What both signals add to a warm handler, receiver on loopback."""
    samples = _warm(("nothing", "ours_both", "xray_emf", "stock_both"), rounds)
    added = _less(samples, "nothing")
    return show(
        "Warm handler with 5 spans and 5 metrics: what is added",
        "us",
        added,
        [Claim("ours_both", "xray_emf", 1.5), Claim("ours_both", "stock_both", 1 / 3)],
    )


def invocations(rounds: int) -> bool:
    """What both signals add under Lambda's own runtime client, in each mode."""
    from benchmarks.invocations import measure

    samples = measure(rounds, _progress)
    held = show(
        "Under Lambda's runtime client, 5 spans and 5 metrics: response, what is added",
        "us",
        _less(samples.response, "nothing"),
        [
            Claim("after_response", "xray_emf", 0.75),
            Claim("otlp/stdout", "xray_emf", 0.9),
        ],
    )
    show("billed duration, what is added", "us", _less(samples.billed, "nothing"))
    show(
        "next invocation, sent at the response: what is added",
        "us",
        _less(samples.closed_loop, "nothing"),
    )
    show(
        "what there is without telemetry",
        "us",
        {
            "response": samples.response["nothing"],
            "billed": samples.billed["nothing"],
            "next": samples.closed_loop["nothing"],
        },
    )
    return held


def cold_tracer(rounds: int) -> bool:
    """Cold start of import and ``Tracer()``."""
    init, _, _ = _cold(("ours", "xray", "stock"), rounds)
    return show(
        "Cold start: import and Tracer()", "ms", init, [Claim("ours", "xray", 1.0)]
    )


def cold_both(rounds: int) -> bool:
    """INIT and first invocation with both signals, nothing else loaded."""
    init, first, memory = _cold(("ours", "ours_both", "xray_emf", "stock_both"), rounds)
    total = _sum(init, first)
    more = {
        "metrics over tracing": [
            both - one
            for both, one in zip(init["ours_both"], init["ours"], strict=True)
        ]
    }
    held = show(
        "Cold start: INIT and first invocation, both signals",
        "ms",
        total,
        [Claim("ours_both", "xray_emf", 1.1), Claim("ours_both", "stock_both", 0.45)],
    )
    show("of which INIT", "ms", init)
    show("what importing metrics adds (at most 3)", "ms", more)
    show("peak memory (at most X-Ray + EMF + 3)", "MB", memory)
    spare = statistics.median(memory["ours_both"]) - statistics.median(
        memory["xray_emf"]
    )
    return held and spare <= 3 and statistics.median(more["metrics over tracing"]) <= 3


def cold_boto3(rounds: int) -> bool:
    """The same where the function has made a boto3 client already."""
    init, first, _ = _cold(("ours_both", "xray_emf"), rounds, "boto3")
    return show(
        "Cold start beside a boto3 client, both signals",
        "ms",
        _sum(init, first),
        [Claim("ours_both", "xray_emf", 1.35)],
    )


def cold_patched(rounds: int) -> bool:
    """The same with ``Tracer()`` patching botocore."""
    init, first, _ = _cold(("ours_both_patched", "xray_emf_patched"), rounds)
    return show(
        "Cold start with botocore patched, both signals",
        "ms",
        _sum(init, first),
        [Claim("ours_both_patched", "xray_emf_patched", 1.0)],
    )


def cold_tls(rounds: int) -> bool:
    """INIT and first invocation over https; reported, not judged."""
    from benchmarks.certificate import self_signed

    with self_signed() as certificate:
        init, first, _ = _cold(
            ("ours_both", "stock_both"), rounds, certificate=certificate
        )
    return show("Cold start over https, both signals", "ms", _sum(init, first))


def _warm(names: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Workers, one a scenario, that run 200 invocations in turn."""
    samples: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        workers = {}
        for name in names:
            port, _ = stack.enter_context(sink.running())
            worker = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.scenarios", name, "serve"],
                    env=environment(port),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            stack.callback(worker.kill)
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            workers[name] = worker
        for number in range(rounds + 1):
            _progress("warm", number, rounds + 1)
            for name, worker in workers.items():
                assert worker.stdin is not None
                assert worker.stdout is not None
                worker.stdin.write("200\n")
                worker.stdin.flush()
                took = float(worker.stdout.readline())
                if number:
                    samples[name].append(took)
    return samples


def _cold(
    names: Sequence[str], rounds: int, preload: str = "", certificate: str | None = None
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, list[float]]]:
    """INIT ms, first invocation ms and peak MB of fresh processes, in turn."""
    results = tuple({name: [] for name in names} for _ in range(3))
    more = {"OTEL_EXPORTER_OTLP_CERTIFICATE": certificate} if certificate else {}
    with sink.running(certificate=certificate) as (port, _):
        scheme = "https" if certificate else "http"
        for number in range(rounds + 1):
            _progress("cold", number, rounds + 1)
            for name in names:
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.scenarios", name, "start"]
                    + ([preload] if preload else []),
                    env=environment(port, scheme, **more),
                    capture_output=True,
                    text=True,
                    check=True,
                )
                if number:
                    for kept, value in zip(results, done.stdout.split(), strict=True):
                        kept[name].append(float(value))
    return results  # type: ignore[return-value]


def _less(samples: dict[str, list[float]], reference: str) -> dict[str, list[float]]:
    return {
        name: [a - b for a, b in zip(values, samples[reference], strict=True)]
        for name, values in samples.items()
        if name != reference
    }


def _sum(
    first: dict[str, list[float]], second: dict[str, list[float]]
) -> dict[str, list[float]]:
    return {
        name: [a + b for a, b in zip(values, second[name], strict=True)]
        for name, values in first.items()
    }


def _progress(what: str, number: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if number == total - 1 else ""
        print(f"\r{what}: round {number + 1}/{total}", end=end, file=sys.stderr)


MEASUREMENTS: dict[str, Callable[[int], bool]] = {
    function.__name__: function
    for function in (
        per_span,
        per_metric,
        warm,
        warm_both,
        invocations,
        cold_tracer,
        cold_both,
        cold_boto3,
        cold_patched,
        cold_tls,
    )
}


def main() -> int:
    """Run, and say whether every bound held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS)
    )
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    unknown = set(options.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    # Installed packages come with bytecode; a checkout's has to be made first.
    compileall.compile_dir(Path(powertools_otel.__file__).parent, quiet=1)
    held = [
        MEASUREMENTS[name](options.rounds) for name in options.names or MEASUREMENTS
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
