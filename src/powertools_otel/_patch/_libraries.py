"""The X-Ray SDK's names of libraries, and what instruments each for OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class FirstUse(NamedTuple):
    """How the use of a library begins that other libraries import for themselves."""

    made: str
    """The class whose first instance means that calls will follow."""
    called: str
    """The method that is instrumented, for calls of instances made before."""


class Library(NamedTuple):
    """One instrumentation of OpenTelemetry's, and when to load it."""

    trigger: str
    """The module whose import means that the library is in use, and complete."""
    module: str
    """The instrumentation's module in ``opentelemetry.instrumentation``."""
    kind: str
    """Its instrumentor class; a database's name where there is only a function."""
    package: str
    """What to install for it, less ``opentelemetry-instrumentation-``."""
    first_use: FirstUse | None
    """What to wait for; None where whoever imports the library means to use it."""


def _of(
    trigger: str,
    module: str,
    kind: str,
    package: str | None = None,
    first_use: FirstUse | None = None,
) -> Library:
    return Library(
        trigger, module, kind, package or module.replace("_", "-"), first_use
    )


LIBRARIES = {
    "aiobotocore": (_of("aiobotocore.client", "botocore", "AiobotocoreInstrumentor"),),
    "aiohttp": (_of("aiohttp", "aiohttp_client", "AioHttpClientInstrumentor"),),
    "botocore": (
        _of(
            "botocore.client",
            "botocore",
            "BotocoreInstrumentor",
            first_use=FirstUse("BaseClient", "BaseClient._make_api_call"),
        ),
    ),
    "httplib": (_of("urllib.request", "urllib", "URLLibInstrumentor"),),
    "httpx": (_of("httpx", "httpx", "HTTPXClientInstrumentor"),),
    "mysql": (_of("mysql.connector", "mysql", "MySQLInstrumentor"),),
    "pg8000": (
        _of("pg8000", "dbapi", "postgresql"),
        _of("pg8000.dbapi", "dbapi", "postgresql"),
    ),
    "psycopg": (_of("psycopg", "psycopg", "PsycopgInstrumentor"),),
    "psycopg2": (_of("psycopg2", "psycopg2", "Psycopg2Instrumentor"),),
    "pymongo": (_of("pymongo", "pymongo", "PymongoInstrumentor"),),
    "pymysql": (_of("pymysql", "pymysql", "PyMySQLInstrumentor"),),
    "redis": (_of("redis", "redis", "RedisInstrumentor"),),
    "requests": (_of("requests", "requests", "RequestsInstrumentor"),),
    "sqlalchemy": (_of("sqlalchemy", "sqlalchemy", "SQLAlchemyInstrumentor"),),
    "sqlite3": (_of("sqlite3", "sqlite3", "SQLite3Instrumentor"),),
    "urllib3": (
        _of(
            "urllib3",
            "urllib3",
            "URLLib3Instrumentor",
            first_use=FirstUse("PoolManager", "HTTPConnectionPool.urlopen"),
        ),
    ),
}
ALIASES = {
    "aioboto3": "aiobotocore",
    "boto3": "botocore",
    "http.client": "httplib",
    "pynamodb": "botocore",
    "sqlalchemy_core": "sqlalchemy",
}
"""A library whose calls another one makes; both names are the X-Ray SDK's."""

ON_REQUEST = frozenset({"aiohttp", "httplib"})
"""Not part of ``patch_all``, as in the X-Ray SDK: ``httplib`` lies beneath the other
clients, and aiohttp has ``aiohttp_trace_config``, which would make a second span."""

IN_EXTRA = frozenset({"aiohttp-client", "botocore", "httpx", "requests", "urllib3"})
"""What the extra ``[instrumentation]`` installs."""


def resolve(modules: Iterable[object]) -> tuple[list[str], list[str]]:
    """Tell known names from others.

    Returns:
        Keys of ``LIBRARIES``, each once; and the names that mean nothing.
    """
    known: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for module in modules:
        name = ALIASES.get(str(module), str(module))
        (known if name in LIBRARIES else unknown)[name] = None
    return list(known), list(unknown)


def to_install(packages: Iterable[str]) -> str:
    """What a user has to install to have these packages, in words."""
    named = sorted(set(packages))
    names = " ".join(f"opentelemetry-instrumentation-{name}" for name in named)
    if IN_EXTRA.issuperset(named):
        return f"powertools-otel[instrumentation] (it brings {names})"
    return names
