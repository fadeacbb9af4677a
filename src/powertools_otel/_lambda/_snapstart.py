"""SnapStart: many environments begin as copies of one that was initialised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powertools_otel._guard import harmless, logger

if TYPE_CHECKING:
    from powertools_otel._pipeline import Pipeline


def install(pipeline: Pipeline) -> bool:
    """Have Lambda's runtime tell us before the snapshot and after each restore.

    Returns:
        False without ``snapshot_restore_py``, which Lambda's runtimes since Python
        3.12 bring.
    """
    try:
        import snapshot_restore_py as hooks  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        logger.debug("snapshot_restore_py is missing: no hooks for SnapStart")
        return False
    hooks.register_before_snapshot(_before_snapshot, pipeline)
    hooks.register_after_restore(_after_restore, pipeline)
    return True


def _before_snapshot(pipeline: Pipeline) -> None:
    """Send what INIT recorded, once, and leave no connection in the snapshot."""
    with harmless("prepare for a snapshot"):
        pipeline.flush()
        for signal, counted in pipeline.statistics().items():
            if counted.retained:
                logger.warning(
                    "%d %s of INIT could not be sent before the snapshot",
                    counted.retained,
                    signal,
                )
        pipeline.delivery.close()


def _after_restore(pipeline: Pipeline) -> None:
    """Be an environment of its own: fresh identity and connections, a cold start."""
    with harmless("begin anew after a restore"):
        pipeline.restart()
