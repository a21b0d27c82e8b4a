"""Event files, which TensorBoard draws its curves from.

TensorBoard's own writer has a thread for the disk, where nobody can catch what a full one raises; this one has none.
"""

import io
import os
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from poise.files import append


class EventFile:
    """A new file in a folder that TensorBoard reads, whole after every call.

    Args:
        folder: made if need be.
        purge_step: hide what the folder's other files hold from this step on.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"  # read in the order of their names
        self._write(Event(file_version="brain.Event:2"))
        if purge_step is not None:
            self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record `values` as they were after `step` environment steps."""
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(step=step, summary=Summary(value=scalars)))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        append(self._path, record.getvalue())
