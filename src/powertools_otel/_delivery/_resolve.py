"""Host names to addresses, within a bound.

``getaddrinfo`` cannot be interrupted, so it runs in a helper thread: at most one for
each host, however often a flush gives up waiting for it, and what it finds late is
used by the next flush. Numeric hosts and ``localhost`` need no thread.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from powertools_otel._delivery._clock import elapsed, now
from powertools_otel._delivery._steps import READ, Wait

if TYPE_CHECKING:
    from typing import TypeAlias

    from powertools_otel._delivery._clock import Instant
    from powertools_otel._delivery._steps import Steps

    Address: TypeAlias = tuple[int, tuple[str, int]]

FRESH_S = 60.0
"""How long a result serves: for both signals, and when it came after a deadline."""

_lookups: dict[str, _Lookup] = {}
_lock = threading.Lock()


class _Lookup:
    """One ``getaddrinfo`` in progress, or its result."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.addresses: tuple[tuple[int, str], ...] = ()
        self.error: OSError | None = None
        self.done: Instant | None = None
        self.listeners: list[socket.socket] = []
        threading.Thread(
            target=self._run, name="powertools-otel-resolve", daemon=True
        ).start()

    def _run(self) -> None:
        try:
            # As bytes, since a str would have encodings.idna imported (1 ms).
            found = socket.getaddrinfo(
                self.host.encode("ascii"), None, type=socket.SOCK_STREAM
            )
            self.addresses = tuple(
                dict.fromkeys(
                    (int(family), str(place[0])) for family, *_, place in found
                )
            )
        except OSError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            self.error = OSError(f"{type(error).__name__}: {error}")
        with _lock:
            self.done = now()
            for listener in self.listeners:
                listener.close()
            self.listeners.clear()


def resolve(host: str, port: int) -> Steps[tuple[Address, ...]]:
    """The addresses of a host.

    Raises:
        OSError: If it has none, or its lookup failed.
    """
    known = _without_asking(host)
    if not known:
        lookup = _lookup(host)
        yield from _wait_for(lookup)
        if lookup.error is not None:
            raise lookup.error
        known = lookup.addresses
    return tuple((family, (address, port)) for family, address in known)


def forget(host: str) -> None:
    """Ask anew next time: none of the addresses took a connection."""
    with _lock:
        known = _lookups.get(host)
        if known is not None and known.done is not None:
            del _lookups[host]


def reset_after_fork() -> None:
    """Forget threads and a lock that only the parent process has."""
    global _lock
    _lock = threading.Lock()
    _lookups.clear()


def _without_asking(host: str) -> tuple[tuple[int, str], ...]:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return ((int(family), host),)
    if host == "localhost":  # always the loopback interface: RFC 6761, section 6.3
        return ((int(socket.AF_INET), "127.0.0.1"), (int(socket.AF_INET6), "::1"))
    return ()


def _lookup(host: str) -> _Lookup:
    with _lock:
        known = _lookups.get(host)
        if known is not None:
            done = known.done
            if done is None:
                return known
            if known.error is None and elapsed(done, now()) < FRESH_S:
                return known
        try:
            made = _lookups[host] = _Lookup(host)
        except RuntimeError as error:  # no more threads, or the interpreter ends
            msg = f"cannot look up {host}: {error}"
            raise OSError(msg) from error
        return made


def _wait_for(lookup: _Lookup) -> Steps[None]:
    reader, writer = socket.socketpair()
    try:
        with _lock:
            if lookup.done is not None:
                return
            lookup.listeners.append(writer)
        while lookup.done is None:
            # Closing the other end makes this one readable.
            yield Wait(((reader.fileno(), READ),))
    finally:
        with _lock:
            if writer in lookup.listeners:
                lookup.listeners.remove(writer)
        writer.close()
        reader.close()
