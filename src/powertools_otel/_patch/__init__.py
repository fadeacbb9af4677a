"""Instrument the libraries that Powertools' Tracer patches, with OpenTelemetry's means.

An instrumentation is loaded when its library is imported: now, if that has happened,
or later. For botocore and urllib3, which ``import boto3`` brings in any case, it is
loaded when the first client or connection pool is made; ``_first_use`` says why.
Nothing is looked for among entry points.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import opentelemetry

from powertools_otel._collection import paused
from powertools_otel._guard import harmless, logger, warn_once
from powertools_otel._import_hooks import forget, when_imported
from powertools_otel._patch import _first_use, _libraries, _tracers
from powertools_otel._patch._libraries import LIBRARIES, Library
from powertools_otel._patch._tracers import Tracers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from powertools_otel.tracing import OTelTracingProvider

__all__ = ["aiohttp_trace_config", "ignore_endpoint", "patch", "patch_all", "undo"]

_PREFIX = "opentelemetry.instrumentation"
_hooks: dict[Library, Callable[[ModuleType], None]] = {}
_undo: list[Callable[[], Any]] = []


def patch(modules: Iterable[object], provider: OTelTracingProvider) -> None:
    """Instrument these libraries, by the X-Ray SDK's names for them.

    What is not known, or not installed, is said in one warning; nothing is raised.

    Args:
        modules: Names as in ``Tracer(patch_modules=...)``.
        provider: Whose spans to make.
    """
    _tracers.use(provider)
    names, unknown = _libraries.resolve(
        [modules] if isinstance(modules, str) else modules
    )
    if unknown:
        warn_once(
            f"patch:{unknown}",
            "patch() does not know %s. It knows: %s.",
            ", ".join(unknown),
            ", ".join(sorted({*LIBRARIES, *_libraries.ALIASES})),
        )
    installed = _installed()
    wanted = [library for name in names for library in LIBRARIES[name]]
    missing = {lib.package for lib in wanted if lib.module not in installed}
    if missing:
        warn_once(
            f"patch:{sorted(missing)}",
            "patch() cannot instrument what has no instrumentation installed: "
            "install %s.",
            _libraries.to_install(missing),
        )
    for library in wanted:
        if library.module in installed:
            _instrument_when_imported(library, logger.warning)


def patch_all(provider: OTelTracingProvider) -> None:
    """Instrument every library that is imported and has an instrumentation installed.

    Args:
        provider: Whose spans to make.
    """
    _tracers.use(provider)
    installed = _installed()
    for name in LIBRARIES.keys() - _libraries.ON_REQUEST:
        for library in LIBRARIES[name]:
            if library.module in installed:
                _instrument_when_imported(library, logger.debug)
            else:
                logger.debug(
                    "opentelemetry-instrumentation-%s is not installed: calls of %s "
                    "make no spans",
                    library.package,
                    name,
                )


def ignore_endpoint(
    hostname: str | None = None, urls: Sequence[str] | None = None
) -> None:
    """Make no spans for HTTP requests to an endpoint: ``Tracer.ignore_endpoint``.

    For every HTTP client that is instrumented through :func:`patch`. Where a layer
    has instrumented it, ``OTEL_PYTHON_EXCLUDED_URLS`` does the same.

    Args:
        hostname: A glob, as ``*.internal``.
        urls: Paths, as ``/health``; with ``hostname``, both have to match.
    """
    _tracers.ignore(hostname, urls)


def aiohttp_trace_config() -> Any:
    """A ``TraceConfig`` that makes a span of each request of an aiohttp session.

    Raises:
        ImportError: aiohttp is not installed.
    """
    aiohttp: Any = import_module("aiohttp")
    with harmless("make a TraceConfig"):
        if "aiohttp_client" in _installed():
            instrumentation = import_module(f"{_PREFIX}.aiohttp_client")
            return instrumentation.create_trace_config(tracer_provider=Tracers())
        warn_once(
            "patch:aiohttp_trace_config",
            "aiohttp_trace_config() makes no spans: install %s.",
            _libraries.to_install(["aiohttp-client"]),
        )
    return aiohttp.TraceConfig()


def undo() -> None:
    """Take back every instrumentation of ours, and forget ignored endpoints."""
    for hook in _hooks.values():
        forget(hook)
    _hooks.clear()
    while _undo:
        with harmless("take an instrumentation back"):
            _undo.pop()()
    _tracers.forget()


def _installed() -> frozenset[str]:
    """Which instrumentations there are: one look at a folder, no import."""
    found: set[str] = set()
    for path in opentelemetry.__path__:
        with suppress(OSError):
            found.update(os.listdir(f"{path}/instrumentation"))  # noqa: PTH208
    return frozenset(found)


def _instrument_when_imported(library: Library, say: Callable[..., None]) -> None:
    if library in _hooks:
        return

    def hook(imported: ModuleType) -> None:
        def instrument() -> None:
            try:
                _instrument(library, imported)
            except Exception as error:  # noqa: BLE001 - it is somebody's import or call
                say(
                    "opentelemetry-instrumentation-%s could not instrument %s: %r",
                    library.package,
                    imported.__name__,
                    error,
                )

        use = library.first_use
        if use is not None and _first_use.is_ahead(imported):
            instrumentation = f"{_PREFIX}.{library.module}"
            with suppress(AttributeError, KeyError):  # a library that was rebuilt
                _undo.append(
                    _first_use.wait(use, imported, instrumentation, instrument)
                )
                return
        instrument()
        _first_use.now()

    _hooks[library] = hook
    when_imported(library.trigger, hook)


def _instrument(library: Library, imported: ModuleType) -> None:
    with paused():
        instrumentation = import_module(f"{_PREFIX}.{library.module}")
    if library.module == "dbapi":
        _wrap_connect(instrumentation, library.kind, imported)
        return
    instrumentor = getattr(instrumentation, library.kind)()
    if instrumentor.is_instrumented_by_opentelemetry:
        logger.debug("%s is instrumented already", imported.__name__)
        return
    clients = {"botocore": "BaseClient", "aiobotocore": "AioBaseClient"}
    client = clients.get(imported.__name__.partition(".")[0])
    if client is not None:
        _wrap_aws_calls(instrumentor, getattr(imported, client))
        return
    instrumentor.instrument(skip_dep_check=True, tracer_provider=Tracers())
    _undo.append(instrumentor.uninstrument)


def _wrap_connect(dbapi: Any, database: str, imported: ModuleType) -> None:
    dbapi.wrap_connect(
        imported.__name__, imported, "connect", database, tracer_provider=Tracers()
    )
    _undo.append(lambda: dbapi.unwrap_connect(imported, "connect"))


def _wrap_aws_calls(instrumentor: Any, client: Any) -> None:
    """Put the instrumentation between our two wrappers of the same method."""
    from powertools_otel._patch import _aws_calls

    inside: Any = client.__dict__["_make_api_call"]
    client._make_api_call = _aws_calls.add_context(inside)  # noqa: SLF001
    instrumentor.instrument(skip_dep_check=True, tracer_provider=Tracers())
    instrumented: Any = client.__dict__["_make_api_call"]
    client._make_api_call = _aws_calls.keep_payload(instrumented)  # noqa: SLF001

    def take_back() -> None:
        client._make_api_call = instrumented  # noqa: SLF001
        instrumentor.uninstrument()
        client._make_api_call = inside  # noqa: SLF001

    _undo.append(take_back)
