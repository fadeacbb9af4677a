"""Run by Python before anything else, where this folder is on ``PYTHONPATH``.

That is what the exec wrapper arranges. The ``sitecustomize`` that would have been run
without us is run after us, and the function does not see this folder on its path.
"""

import os
import sys

# pathlib would cost 3 ms here.
_FOLDER = os.path.dirname(__file__)  # noqa: PTH120
_LIBRARY = os.path.dirname(os.path.dirname(_FOLDER))  # noqa: PTH120


def _activate() -> None:
    # The function's own package goes before the layer's, as everywhere in Lambda;
    # this early neither of them is on the path.
    bundle = os.environ.get("LAMBDA_TASK_ROOT", "")
    bundled = bundle and os.path.isdir(f"{bundle}/powertools_otel")  # noqa: PTH112
    sys.path.insert(0, bundle if bundled else _LIBRARY)
    try:
        from powertools_otel import _install
    finally:
        del sys.path[0]
    _install.activate("the exec wrapper")


def _give_way() -> None:
    """Leave the path, and run the next ``sitecustomize`` on it, if there is one."""
    sys.path[:] = [path for path in sys.path if path != _FOLDER]
    ours = sys.modules.pop("sitecustomize")
    try:
        __import__("sitecustomize")  # another one
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = ours


try:
    _activate()
except Exception as error:  # noqa: BLE001 - the function starts without us
    sys.stderr.write(f"powertools-otel could not be activated: {error!r}\n")
_give_way()
