"""Put an instrumentation off until its library is used, not just imported.

``import boto3`` brings botocore and urllib3, called or not. An instrumentation for
them takes some 40 ms to load, most of it the first time only, for what all of them
share: wrapt and asyncio, packaging, the semantic conventions. So they wait for the
first client or connection pool. Most functions make these at module level, where
Lambda's INIT has a full CPU and where making a client costs more than this; a function
that makes none pays nothing. It is not left until the first call: that would fall
into an invocation, on a small function's share of a CPU. Calls are traced from the
first one on all the same, also those of a pool that was there before.

Nothing waits where waiting gains nothing:

* clients exist already, or there is no botocore: urllib3 is then there for its own
  sake;
* something has loaded OpenTelemetry's instrumentations: a layer, ``Tracer`` for
  another library, the application. What waits is instrumented with them then, and an
  application that imports one of these instrumentations finds it at work;
* INIT is not part of a request: SnapStart, provisioned concurrency.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from powertools_otel._collection import paused
from powertools_otel._import_hooks import forget, when_imported

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from powertools_otel._patch._libraries import FirstUse

_SHARED = "opentelemetry.instrumentation.instrumentor"
"""What every instrumentation imports, and nothing else does."""

_lock = threading.RLock()
"""Held while instrumenting, never while importing, which has locks of its own."""
_waiting: list[_Later] = []


def is_ahead(imported: ModuleType) -> bool:
    """Whether the first use of botocore or urllib3 is to come, and worth the wait."""
    if _SHARED in sys.modules:
        return False
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand") != "on-demand":
        return False
    client = getattr(imported, "BaseClient", None)
    if client is not None:
        # botocore makes a class for each client, which lives as long as the client.
        return not client.__subclasses__()
    # What imports urllib3 in botocore, whose top Powertools imports for a user agent.
    return "botocore.compat" in sys.modules


def wait(
    use: FirstUse,
    imported: ModuleType,
    instrumentation: str,
    instrument: Callable[[], None],
) -> Callable[[], None]:
    """Call ``instrument`` when the library is used, or what is to do it is imported.

    Args:
        use: What to take for a use.
        imported: The library's module.
        instrumentation: The module that ``instrument`` needs.
        instrument: Does it, and raises nothing.

    Returns:
        Takes back what this has put into the library; not what ``instrument`` did.

    Raises:
        AttributeError: The library has no such class any more.
        KeyError: The class has no such method of its own.
    """
    later = _Later(instrumentation, instrument)
    made = getattr(imported, use.made)
    owner, _, function = use.called.partition(".")
    later.look_out(
        _StandIn(made, "__init__", later.begin),
        _StandIn(getattr(imported, owner), function, later.begin),
    )
    return later.take_back


def now() -> None:
    """Instrument everything that waits: it has become cheap, or is needed."""
    for later in _waiting.copy():
        later.happen()


class _Later:
    """The instrumentation of one library, which happens once."""

    def __init__(self, instrumentation: str, instrument: Callable[[], None]) -> None:
        self._instrumentation = instrumentation
        self._instrument = instrument
        self._begun = False
        self._done = False

    def look_out(self, made: _StandIn, called: _StandIn) -> None:
        """Wait for one of these to be looked up."""
        self._made, self._called = made, called
        _waiting.append(self)
        made.take_place()
        called.take_place()
        when_imported(self._instrumentation, self.happen)

    def begin(self) -> None:
        """Be done before a stand-in answers; then it answers with the real thing."""
        if not self._done:
            now()

    def happen(self, _: ModuleType | None = None) -> None:
        """Instrument, unless that has happened; wait for another thread that does."""
        with suppress(Exception), paused():
            # Without the lock. Whoever instruments sees the failure, and says it.
            import_module(self._instrumentation)
        with _lock:
            if self._begun:
                return
            self._begun = True
            self._called.step_aside()
            try:
                self._instrument()
            finally:
                self._called.come_back()
                self._made.leave()
                self._end()

    def take_back(self) -> None:
        """Wait no longer, and leave the library's functions as they were."""
        with _lock:
            self._begun = True
            self._called.forget()
            self._made.leave()
            self._end()

    def _end(self) -> None:
        self._done = True
        if self in _waiting:
            _waiting.remove(self)
            forget(self.happen)


class _StandIn:
    """Has a method's place in its class, and calls ``begin`` when looked up there.

    It answers with what is in that place afterwards. Whoever wraps or replaces the
    method meanwhile keeps it, and may put it back: it stands for what it would have
    found itself had the instrumentation come first.
    """

    def __init__(self, owner: type, name: str, begin: Callable[[], None]) -> None:
        self._owner = owner
        self._name = name
        self._begin = begin
        self._original: Any = owner.__dict__[name]
        self._function: Any = self._original
        self._found: Any = self
        functools.update_wrapper(self, self._original)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        self._begin()
        if not hasattr(self._function, "__get__"):  # a test's mock, say
            return self._function
        return self._function.__get__(instance, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._begin()
        return self._function(*args, **kwargs)

    def take_place(self) -> None:
        setattr(self._owner, self._name, self)

    def step_aside(self) -> None:
        """Let the original be instrumented, even under what others have put over it.

        A call that another thread looks up in the fraction of a millisecond until
        :meth:`come_back`, of a pool from before, is not traced: as if it had been made
        just before.
        """
        self._found = self._owner.__dict__.get(self._name, self)
        setattr(self._owner, self._name, self._original)

    def come_back(self) -> None:
        """Stand for what is instrumented; only where others hold on to the stand-in."""
        self._function = self._owner.__dict__[self._name]
        if self._found is not self:
            setattr(self._owner, self._name, self._found)

    def leave(self) -> None:
        """Give the place back to the original, if it is still ours."""
        if self._owner.__dict__.get(self._name) is self:
            setattr(self._owner, self._name, self._original)

    def forget(self) -> None:
        """Stand for the original again, and leave."""
        self._function = self._original
        self.leave()
