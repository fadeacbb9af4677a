"""What is special about Lambda: its runtime loop, its deadline, its ends.

Nothing of this is imported outside Lambda.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from powertools_otel import _invocation
from powertools_otel._guard import harmless, warn_once
from powertools_otel._lambda._runtime import Loop, observe
from powertools_otel._lambda._sentinel import Sentinel
from powertools_otel._lambda._watchdog import Watchdog

if TYPE_CHECKING:
    from powertools_otel._lambda._runtime import Turn
    from powertools_otel._pipeline import Pipeline

_started: Pipeline | None = None


def start(pipeline: Pipeline) -> None:
    """Connect the pipeline with Lambda, once; to be called while the function inits.

    What cannot be done is said, and done without; nothing is raised.
    """
    global _started
    if pipeline is _started:
        return
    _started = pipeline
    with harmless("connect with Lambda"):
        _start(pipeline)


def _start(pipeline: Pipeline) -> None:
    settings = pipeline.settings
    loop = Loop()
    observed = observe(loop)
    _follow(pipeline, loop)
    if observed:
        _print_after_response(pipeline, loop)
    if settings.watchdog or settings.handle_sigterm:
        sentinel = Sentinel()
        pipeline.on_restart.append(
            lambda forked: sentinel.restart() if forked else None
        )
        if settings.watchdog:
            _watch(pipeline, loop, sentinel, observed=observed)
        if settings.handle_sigterm:
            with harmless("handle SIGTERM"):
                from powertools_otel._lambda import _signals

                _signals.install(pipeline, sentinel)
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        with harmless("prepare for SnapStart"):
            from powertools_otel._lambda import _snapstart

            _snapstart.install(pipeline)
    deferring = settings.flush_mode == "after_response"
    if deferring and not observed:
        warn_once(
            "flush_mode",
            "after_response needs Lambda's own runtime client (awslambdaric): "
            "going on with before_response",
        )
        deferring = False
    if deferring or settings.register_extension:
        with harmless("register as an extension"):
            from powertools_otel._lambda import _extension

            _extension.register(pipeline, loop, deferring=deferring)


def _follow(pipeline: Pipeline, loop: Loop) -> None:
    """Let the pipeline know of each invocation what Lambda says of it."""

    def began(turn: Turn) -> None:
        pipeline.runtime_deadline = turn.deadline
        pipeline.initialized = loop.initialized
        if turn.account:
            pipeline.learn_account(turn.account)

    def finished(_: Turn) -> None:
        pipeline.runtime_deadline = None
        _invocation.note_invoked()

    loop.on_begin.append(began)
    loop.on_finish.append(finished)


def _print_after_response(pipeline: Pipeline, loop: Loop) -> None:
    """Where all there is to do is to print: when the response has been posted.

    Until the runtime asks for the next invocation, the environment is not frozen and
    this one's log not closed. For what takes part of a millisecond that is time
    enough, and it needs no extension.
    """

    def only_prints() -> bool:
        return pipeline.prints and not pipeline.sends

    def defers() -> bool:
        # What ends while the function initialises is followed by no response.
        return loop.turn is not None and only_prints()

    def finished(_: Turn) -> None:
        if only_prints():
            pipeline.flush()

    pipeline.defers = defers
    loop.on_finish.append(finished)


def _watch(
    pipeline: Pipeline, loop: Loop, sentinel: Sentinel, *, observed: bool
) -> None:
    """Arm a watchdog with each invocation's deadline."""
    dog = Watchdog(pipeline, sentinel)
    if observed:
        loop.on_begin.append(lambda turn: dog.arm(turn.deadline, turn.began))
        loop.on_finish.append(lambda _: dog.disarm())
        return

    def began(invocation: _invocation.Invocation) -> None:
        if invocation.deadline is not None:
            dog.arm(invocation.deadline, invocation.started)

    _invocation.on_begin(began)
    _invocation.on_end(lambda _: dog.disarm())
