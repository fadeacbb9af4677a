"""An extension within the function's process: flush when the caller has its answer.

Lambda keeps the environment running, after the response, until every extension that
was told of the invocation asks for the next one. That time is billed, and the next
invocation waits for it, so that the bound of a flush holds there too. See "Extensions
API" in the AWS Lambda Developer Guide.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import harmless, logger, warn_once
from powertools_otel._lambda._api import Api
from powertools_otel._lambda._runtime import monotonic

if TYPE_CHECKING:
    from powertools_otel._lambda._api import Reply
    from powertools_otel._lambda._runtime import Loop
    from powertools_otel._pipeline import Pipeline

NAME = "powertools-otel"
_PREFIX = "/2020-01-01/extension"
_REGISTRATION_S = 1.0
_OK = 200
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0


def register(pipeline: Pipeline, loop: Loop, *, deferring: bool) -> bool:
    """Register with Lambda; possible only while the function initialises.

    Args:
        pipeline: What is flushed after each response.
        loop: Tells when that is.
        deferring: Flush after the response. Otherwise the extension wants no events:
            that there is one makes Lambda send SIGTERM at the environment's end.

    Returns:
        Whether there is an extension now. If not, that is said once, and flushes go
        before the response.
    """
    address = os.environ.get("AWS_LAMBDA_RUNTIME_API", "")
    if os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY"):
        _sorry(deferring=deferring, why="Managed Instances are not frozen")
        return False
    try:
        api = Api(address)
        identifier, account = _register(api, ["INVOKE"] if deferring else [])
    except (OSError, ValueError, LookupError) as error:
        _sorry(deferring=deferring, why=str(error) or type(error).__name__)
        return False
    if account:
        pipeline.learn_account(account)
    extension = _Extension(pipeline, loop, api, identifier, deferring=deferring)
    thread = threading.Thread(target=extension.run, name=NAME, daemon=True)
    thread.start()
    return True


def _register(api: Api, events: list[str]) -> tuple[str, str | None]:
    """Register, and learn the account id where Lambda tells it.

    Raises:
        OSError: There is no API to register with.
        ValueError: It refused, or its answer makes no sense.
        KeyError: Its answer has no identifier.
    """
    reply = api.request(
        "POST",
        _PREFIX + "/register",
        {
            "Content-Type": "application/json",
            "Lambda-Extension-Name": NAME,
            "Lambda-Extension-Accept-Feature": "accountId",
        },
        json.dumps({"events": events}).encode(),
        timeout_s=_REGISTRATION_S,
    )
    if reply.status != _OK:
        why = reply.body[:200].decode("utf-8", "replace")
        msg = f"Lambda answered {reply.status} {why}"
        raise ValueError(msg)
    account = None
    with harmless("read the account id"):
        account = json.loads(reply.body or b"{}").get("accountId")
    known = account if isinstance(account, str) else None
    return reply.headers["lambda-extension-identifier"], known


def _sorry(*, deferring: bool, why: str) -> None:
    warn_once(
        "extension",
        "The extension could not be registered (%s): %s",
        why,
        "flushing before the response"
        if deferring
        else "there will be no SIGTERM at the end",
    )


class _Extension:
    """The thread that asks Lambda for events and flushes.

    Args:
        pipeline: What is flushed.
        loop: Tells when a response has been posted.
        api: The connection that registered.
        identifier: What Lambda calls this extension.
        deferring: Whether flushes wait for this thread.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        loop: Loop,
        api: Api,
        identifier: str,
        *,
        deferring: bool,
    ) -> None:
        self._pipeline = pipeline
        self._loop = loop
        self._api = api
        self._headers = {"Lambda-Extension-Identifier": identifier}
        self._deferring = deferring
        self._polls = deferring
        if deferring:
            pipeline.defers = self._defers

    def _defers(self) -> bool:
        """Whether the end of the invocation is this thread's to flush.

        Not what ends while the function initialises, when no event will come for it,
        and not while Lambda cannot be asked for events.
        """
        return self._polls and self._deferring and self._loop.turn is not None

    def run(self) -> None:
        """Ask for events, for ever: Lambda waits for an extension that does not.

        Without a timeout: the answer comes with the next invocation, whenever that
        is, and the process is frozen meanwhile.
        """
        pause = _FIRST_PAUSE_S
        while True:
            try:
                reply = self._next_event()
                if reply.status != _OK:
                    msg = f"Lambda answered {reply.status}"
                    raise ValueError(msg)  # noqa: TRY301 - handled like any failure
                event = json.loads(reply.body)
            except (OSError, ValueError) as error:
                # After a restore from a snapshot the connection is gone, for example.
                logger.debug("No event from Lambda: %s", error)
                self._polls = False
                # An invocation may have counted on this event.
                self._pipeline.flush()
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            pause = _FIRST_PAUSE_S
            self._polls = True
            with harmless("flush after the response"):
                self._handle(event)

    def _next_event(self) -> Reply:
        """Ask for an event; read it when the invocation that it tells of is answered.

        It comes with the invocation itself: reading it then would take the
        interpreter from the handler.

        Raises:
            OSError: Not connected, or the connection ended.
            ValueError: What came is not HTTP.
        """
        known = self._loop.answers
        self._api.ask("GET", _PREFIX + "/event/next", self._headers, timeout_s=None)
        if self._deferring:
            self._loop.wait_for_answer(known)
        return self._api.answer()

    def _handle(self, event: Any) -> None:
        """Flush once the response to the event's invocation has been posted."""
        if event.get("eventType") != "INVOKE" or not self._deferring:
            return
        if not self._loop.wait_until_answered(event["requestId"]):
            self._deferring = False
            _sorry(deferring=True, why="its invocations are not the runtime's")
        longest = self._pipeline.settings.flush_timeout_ms / 1000
        bound = self._pipeline.within(monotonic(event["deadlineMs"]), longest)
        self._pipeline.flush(deadline=time.monotonic() + bound)
