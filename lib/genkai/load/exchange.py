"""One plan-declared request, measured and recorded: the path that every user and every arrival takes."""

from __future__ import annotations

from genkai.load.calls import PlanCall
from genkai.load.http.clock import now
from genkai.load.http.connection import Connection
from genkai.load.http.errors import Failure
from genkai.load.http.sources import CallState
from genkai.load.recorder import Cell, Recorder

UNANSWERED = "unanswered when the run, or this user, ended"


def perform(
    recorder: Recorder, call: PlanCall, state: CallState, connection: Connection, cell: Cell, intended: float,
    serve: bool = False,
) -> bool:  # fmt: skip
    """Send one request and record what comes of it; True when it passed its check.

    Response time runs from the intended send; with `serve` the time from the actual send is recorded too.
    """
    cell.sent += 1
    actual = now()
    try:
        response = connection.exchange(call.template.constant or call.template.render(state), head=call.head)
        done = response.done
        cell.bytes += response.bytes_received
        failure = call.check(response)
    except Failure as error:
        failure, done = error, now()
        cell.bytes += error.bytes_received
    except (ValueError, KeyError) as error:  # a data row that makes no valid request
        failure, done = Failure("check", None, None, f"request not made: {error}"), now()
    except BaseException:
        done = now()
        _record_times(cell, intended, actual, done, serve)
        recorder.fail(cell, "timeout", None, None, UNANSWERED)
        if recorder.log is not None:
            recorder.log.note(cell.api, intended, actual, done, "timeout", None)
        raise
    cell.response.append(done - intended)
    if serve:
        cell.service.append(done - actual)
    if recorder.log is not None:
        kind, status = (None, response.status) if failure is None else (failure.kind, failure.status)
        recorder.log.note(cell.api, intended, actual, done, kind, status)
    if failure is None:
        cell.completed += 1
        return True
    recorder.fail(cell, failure.kind, failure.status, failure.errno, failure.message)
    return False


def _record_times(cell: Cell, intended: float, actual: float, done: float, serve: bool) -> None:
    cell.response.append(done - intended)
    if serve:
        cell.service.append(done - actual)
