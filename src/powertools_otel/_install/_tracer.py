"""Powertools' Tracer, with our provider where X-Ray's recorder would be.

It reads ``Tracer.provider`` at every use, so a descriptor on the class turns Tracers
round that were made before; and it asks one method for its default provider, so those
made after never import the X-Ray SDK.
"""

from __future__ import annotations

import functools
import sys
import weakref
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import harmless, warn_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType

    from opentelemetry.trace import TracerProvider

    from powertools_otel._install._replacements import Replacements


def adapt(
    module: Any, replacements: Replacements, tracer_provider: TracerProvider | None
) -> None:
    """Adapt ``aws_lambda_powertools.tracing.tracer``.

    Args:
        module: That module.
        replacements: Take what is replaced.
        tracer_provider: As :func:`powertools_otel.install`.

    Raises:
        AttributeError: The module is not as known; nothing is replaced then.
    """
    tracer = module.Tracer
    default = _Default(tracer, tracer._patch_xray_provider, tracer_provider)  # noqa: SLF001 - its only place
    is_disabled = _is_disabled(tracer._is_tracer_disabled)  # noqa: SLF001
    forks = {
        "_patch_xray_provider": default.renew,
        "_is_tracer_disabled": staticmethod(is_disabled),
        "__init__": _warming_up(tracer.__init__),
        "put_annotation": _put_annotation(tracer.put_annotation),
        "put_metadata": _put_metadata(tracer.put_metadata),
    }
    slot = _ProviderSlot(default, _handler_code(tracer.capture_lambda_handler))
    for name, fork in forks.items():
        replacements.attribute(tracer, name, fork)
    replacements.attribute(tracer, "provider", slot)
    replacements.then(_unpatch)
    replacements.then(default.restore)
    _replace_xray(tracer, default, replacements)


def adapt_extensions(module: Any, replacements: Replacements) -> None:
    """Adapt ``aws_lambda_powertools.tracing.extensions``.

    Raises:
        AttributeError: It has no ``aiohttp_trace_config``.
    """
    replacements.code(module.aiohttp_trace_config, _aiohttp_trace_config.__code__)


def _aiohttp_trace_config() -> Any:
    # Nothing of this module is in reach where this code runs.
    from powertools_otel._patch import aiohttp_trace_config

    return aiohttp_trace_config()


def _is_xray(provider: object) -> bool:
    return type(provider).__module__.startswith("aws_xray_sdk")


class _Default:
    """The provider of every Tracer that was not given one."""

    def __init__(
        self,
        tracer_class: Any,
        upstream: Callable[[Any], Any],
        tracer_provider: TracerProvider | None,
    ) -> None:
        self._tracer_class = tracer_class
        self._upstream = upstream
        self._tracer_provider = tracer_provider
        self._provider: Any = None
        self._had_seams = bool(_seams_in())

    def get(self, tracer: Any = None) -> Any:
        """The one of Tracers that have X-Ray's."""
        return self.renew(tracer) if self._provider is None else self._provider

    def renew(self, tracer: Any = None) -> Any:
        """The one of a Tracer that finds none: the first, or the first after a reset."""
        self._provider = self._make(tracer)
        return self._provider

    def _make(self, tracer: Any) -> Any:
        try:
            from powertools_otel._install._versions import check_sdk

            check_sdk()
            from powertools_otel.tracing import OTelTracingProvider

            known = self._tracer_class._config["provider"]  # noqa: SLF001
            if isinstance(known, OTelTracingProvider) and not self._tracer_provider:
                return known
            return OTelTracingProvider(self._tracer_provider)
        except Exception as error:  # noqa: BLE001 - the function's import goes on
            warn_once(
                "install:tracing",
                "Spans cannot be made with OpenTelemetry (%r): install or update "
                "opentelemetry-sdk to 1.44 or later.",
                error,
            )
        try:
            return self._upstream(tracer)
        except ImportError:
            from powertools_otel._install._inert import Inert

            return Inert()

    def restore(self) -> None:
        config = self._tracer_class._config  # noqa: SLF001
        if self._provider is not None and config["provider"] is self._provider:
            config["provider"] = None
        if _seams_in() and not self._had_seams:
            sys.modules["powertools_otel.tracing._seams"].uninstall()


def _seams_in() -> Any:
    """What the provider has forked in Powertools' Tracer, if there is a provider."""
    seams = sys.modules.get("powertools_otel.tracing._seams")
    return getattr(seams, "_originals", None)


class _ProviderSlot:
    """``Tracer.provider``: what the Tracer was given; ours instead of X-Ray's.

    A data descriptor, so it comes before what the instance itself has.
    """

    def __init__(self, default: _Default, handler_code: CodeType | None) -> None:
        self._default = default
        self._handler_code = handler_code

    def __get__(self, tracer: Any, owner: type | None = None) -> Any:
        if tracer is None:
            return self
        try:
            provider: Any = tracer.__dict__["provider"]
        except KeyError:
            raise AttributeError("provider") from None  # noqa: EM101 - as Python says it
        if _is_xray(provider):
            provider = self._default.get(tracer)
        frame = sys._getframe(1)  # noqa: SLF001 - Powertools passes nothing else
        if frame.f_code is self._handler_code:
            return _for_handler(provider, frame.f_locals)
        return provider

    def __set__(self, tracer: Any, provider: Any) -> None:
        tracer.__dict__["provider"] = provider

    def __delete__(self, tracer: Any) -> None:
        del tracer.__dict__["provider"]


def _handler_code(capture_lambda_handler: Any) -> CodeType | None:
    """The code of the function that Powertools puts around a handler."""
    while hasattr(capture_lambda_handler, "__wrapped__"):
        capture_lambda_handler = capture_lambda_handler.__wrapped__
    for constant in capture_lambda_handler.__code__.co_consts:
        if getattr(constant, "co_name", None) == "decorate":
            code: CodeType = constant
            return code
    return None


def _for_handler(provider: Any, scope: dict[str, Any]) -> Any:
    """Give a handler that was decorated before us its event and context.

    Args:
        provider: The Tracer's provider.
        scope: The local variables of Powertools' function around the handler.
    """
    from powertools_otel import _invocation

    invocation = _invocation.current()
    if invocation is not None and invocation.handler is not None:
        return provider
    with harmless("describe a handler that was decorated before install()"):
        from powertools_otel._install._late_handler import LateHandler

        return LateHandler(
            provider, scope["event"], scope["context"], scope["lambda_handler"]
        )
    return provider


def _is_disabled(original: Callable[[], Any]) -> Callable[[], Any]:
    @functools.wraps(original)
    def is_tracer_disabled() -> Any:
        try:
            from powertools_otel.tracing import Tracer
        except Exception:  # noqa: BLE001 - said where the provider is made
            return original()
        return Tracer._is_tracer_disabled()  # noqa: SLF001 - the same decision

    return is_tracer_disabled


def _warming_up(original: Callable[..., None]) -> Callable[..., None]:
    warm: weakref.WeakSet[Any] = weakref.WeakSet()

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807
        original(self, *args, **options)
        if self.disabled:
            return
        with harmless("warm up"):
            provider = self.provider
            # Powertools' middlewares make a Tracer for each invocation.
            if provider not in warm:
                warm.add(provider)
                getattr(provider, "warm_up", _nothing)()

    return __init__


def _nothing() -> None:
    pass


def _put_annotation(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def put_annotation(self: Any, key: str, value: Any) -> None:
        provider = _ours(self)
        if provider is None:
            original(self, key, value)
        else:
            provider.put_annotation(key=key, value=value)

    return put_annotation


def _put_metadata(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def put_metadata(
        self: Any, key: str, value: Any, namespace: str | None = None
    ) -> None:
        provider = _ours(self)
        if provider is None:
            original(self, key, value, namespace)
        else:
            provider.put_metadata(
                key=key, value=value, namespace=namespace or self.service
            )

    return put_metadata


def _ours(tracer: Any) -> Any:
    """The Tracer's provider if it is ours and records."""
    module = sys.modules.get("powertools_otel.tracing._provider")
    provider = tracer.provider
    if module is None or not isinstance(provider, module.OTelTracingProvider):
        return None
    captured = module._sdk.override is not None  # noqa: SLF001 - tests see all
    return provider if captured or not tracer.disabled else None


def _replace_xray(
    tracer_class: Any, default: _Default, replacements: Replacements
) -> None:
    """Take X-Ray's place where a Tracer had it already."""
    config = tracer_class._config  # noqa: SLF001 - its only place
    before = config["provider"]
    if not _is_xray(before):
        return
    config["provider"] = provider = default.get()

    def undo() -> None:
        if config["provider"] is provider:
            config["provider"] = before

    replacements.then(undo)
    with harmless("switch the X-Ray SDK off"):
        _switch_off(sys.modules["aws_xray_sdk"], replacements)
    if config["auto_patch"] and not config["disabled"]:
        modules = config["patch_modules"]
        if modules is None:
            provider.patch_all()
        else:
            provider.patch(modules)


def _switch_off(xray: Any, replacements: Replacements) -> None:
    """What the X-Ray SDK has patched would otherwise send a second trace."""
    switch = xray.global_sdk_config
    if switch.sdk_enabled():
        switch.set_sdk_enabled(False)
        replacements.then(lambda: switch.set_sdk_enabled(True))


def _unpatch() -> None:
    patched: ModuleType | None = sys.modules.get("powertools_otel._patch")
    if patched is not None:
        patched.undo()
