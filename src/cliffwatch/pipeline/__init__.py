"""The order of a run. The one module that knows it.

    job due ── aggregate ── judge ─────────── tell ───────────── done
               facts into    history + new     anomalies into     run, incidents, messages to send
               points        points: expected, incidents, with    and the job's end are one
                             band, score       their root cause   transaction

Runs that are due together go the way together: one question to the event store, one write of points, one end. Between
two runs the live watch looks at the windows that are still open, and tells what is clear already as provisional.
Once a minute goals are held against what has been measured.

A back-fill goes the same way over all of a stream's past; late events send the windows that they change the same way
again. Every step may be repeated: points have fixed keys, incidents know what they have taken, messages have
idempotency keys. Takes jobs; gives points, incidents and messages; never talks to people or SDKs itself.
"""

from cliffwatch.pipeline.around import Around
from cliffwatch.pipeline.periods import Base
from cliffwatch.pipeline.preview import Preview
from cliffwatch.pipeline.previews import Previews
from cliffwatch.pipeline.worker import Pipeline

__all__ = ["Around", "Base", "Pipeline", "Preview", "Previews"]
