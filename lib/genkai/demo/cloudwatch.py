"""A stand-in for CloudWatch that the real boto3 client talks to over HTTP (AWS JSON 1.0), with faults on demand.

What it knows: PutMetricData, GetMetricData (without expressions), ListMetrics. `/__faults` takes a JSON object of the
fields of `Faults` (POST sets, GET shows, DELETE clears).
"""

import asyncio
import base64
import gzip
import hashlib
import json
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from genkai.demo.http import HTTPConnection, Request, Traffic, json_response, response
from genkai.demo.metric_store import HIGH_RESOLUTION_PERIODS, InvalidError, MetricStore, check_statistic
from genkai.demo.serve import port_of, run
from genkai.demo.settings import Settings, option

TARGET = "GraniteServiceVersion20100801."
MAX_QUERIES, MAX_DATAPOINTS, LIST_PAGE, MAX_DATA = 500, 100_800, 500, 1000
_ID = re.compile(r"[a-z][a-zA-Z0-9_]{0,254}")


@dataclass(frozen=True)
class CloudWatchSettings(Settings):
    """Where the stand-in listens and how large its pages are."""

    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(0, "port to listen on; 0: the system chooses")
    page_datapoints: int = option(MAX_DATAPOINTS, "datapoints per page of GetMetricData")


@dataclass
class Faults:
    """What goes wrong on purpose; the counts are of API calls still to be hit."""

    throttle: int = 0  # answer Throttling
    server_error: int = 0  # answer InternalFailure, HTTP 500
    html_error: int = 0  # answer HTTP 500 with an HTML page
    access_denied: int = 0  # answer AccessDenied
    disconnect: int = 0  # close the connection without an answer
    cut_short: int = 0  # answer GetMetricData with a first page of PartialData and no token of the next
    spread: int = 0  # only every n-th API call is hit by the above; 0: calls in a row
    delay_s: float = 0.0  # answer every call this much later
    page_datapoints: int = 0  # smaller pages, so PartialData; 0: as set at the start
    out_of_order: bool = False  # datapoints of a page in no order
    drop_every: int = 0  # leave out every n-th datapoint, as a late or lost one
    duplicate: bool = False  # the first datapoint of a page once more
    clock_offset_s: float = 0.0  # the service's clock against ours, for retention


class CloudWatch:
    """The service: decodes a call, applies the faults, answers."""

    def __init__(self, settings: CloudWatchSettings) -> None:
        self.settings, self.faults, self.store = settings, Faults(), MetricStore()
        self.calls: dict[str, int] = {}
        self._seen = 0
        self.operations: dict[str, Callable[[dict[str, Any], float], dict[str, Any]]] = {
            "PutMetricData": self.put_metric_data,
            "GetMetricData": self.get_metric_data,
            "ListMetrics": self.list_metrics,
        }

    def handle(self, connection: HTTPConnection, request: Request) -> None:
        """Answer one request, late when a fault says so."""
        if request.path.startswith("/__"):
            connection.answer(self.control(request))
            return
        self._seen += 1
        if self._hit("disconnect"):
            connection.busy = False
            connection.transport.close()  # type: ignore[union-attr]
            return
        answer = self.call(request)
        if self.faults.delay_s > 0:
            asyncio.get_running_loop().call_later(self.faults.delay_s, connection.answer, answer)
        else:
            connection.answer(answer)

    def control(self, request: Request) -> bytes:
        """The stand-in's own calls: faults, and what was called how often."""
        try:
            if request.path == "/__faults" and request.method == "POST":
                known = {entry.name for entry in fields(Faults)}
                wanted = json.loads(request.body)
                if unknown := sorted(set(wanted) - known):
                    raise ValueError(f"expected {', '.join(sorted(known))}, got {', '.join(unknown)}")
                self.faults = Faults(**{**asdict(self.faults), **wanted})
            elif request.path == "/__faults" and request.method == "DELETE":
                self.faults = Faults()
            elif request.path == "/__stats":
                return json_response(200, {"calls": self.calls, "metrics": len(self.store.metrics)})
            elif request.path != "/__faults":
                return json_response(404, {"error": f"no such path: {request.path}"})
        except (ValueError, TypeError) as error:
            return json_response(400, {"error": f"/__faults: {error}"})
        return json_response(200, asdict(self.faults))

    def _hit(self, fault: str) -> bool:
        left = getattr(self.faults, fault)
        if left <= 0 or self._seen % (self.faults.spread or 1):
            return False
        setattr(self.faults, fault, left - 1)
        return True

    def call(self, request: Request) -> bytes:
        """The answer to an API call."""
        target = request.header("x-amz-target")
        operation = target.removeprefix(TARGET)
        self.calls[operation] = self.calls.get(operation, 0) + 1
        if self._hit("throttle"):
            return _error(400, "Throttling", "Rate exceeded")
        if self._hit("server_error"):
            return _error(500, "InternalFailure", "An internal error has occurred")
        if self._hit("html_error"):
            return response(500, b"<html><body>Internal Server Error</body></html>", b"text/html")
        if self._hit("access_denied"):
            message = f"User: arn:aws:iam::123456789012:user/demo is not authorized to perform: cloudwatch:{operation}"
            return _error(400, "AccessDenied", message)
        if not request.header("authorization"):
            return _error(400, "MissingAuthenticationToken", "Request is missing Authentication Token")
        if not target.startswith(TARGET):
            return _error(400, "UnknownOperationException", "This stand-in speaks AWS JSON 1.0 (X-Amz-Target) only")
        if operation not in self.operations:
            return _error(400, "UnknownOperationException", f"This stand-in does not know {operation}")
        try:
            body = gzip.decompress(request.body) if request.header("content-encoding") == "gzip" else request.body
            answer = self.operations[operation](json.loads(body or b"{}"), time.time() + self.faults.clock_offset_s)
        except InvalidError as error:
            return _error(400, error.code, str(error))
        except KeyError as error:
            return _error(400, "MissingParameter", f"The parameter {error.args[0]} is required.")
        except (ValueError, TypeError, AttributeError, OSError, EOFError, zlib.error) as error:
            return _error(400, "SerializationException", f"cannot read the body: {error}")
        return response(200, json.dumps(answer).encode(), b"application/x-amz-json-1.0")

    def put_metric_data(self, request: dict[str, Any], now: float) -> dict[str, Any]:
        """Store up to 1 000 data."""
        if not 1 <= len(request["MetricData"]) <= MAX_DATA:
            raise InvalidError("InvalidParameterValue", f"MetricData: 1 to {MAX_DATA} entries.")
        self.store.put(request["Namespace"], request["MetricData"], now)
        return {}

    def list_metrics(self, request: dict[str, Any], now: float) -> dict[str, Any]:
        """500 metrics a page."""
        found = self.store.find(request, now)
        first = _page_of(request, "NextToken")
        metrics = [
            {"Namespace": ns, "MetricName": name, "Dimensions": [{"Name": n, "Value": v} for n, v in pairs]}
            for ns, name, pairs in found[first : first + LIST_PAGE]
        ]
        more = first + LIST_PAGE < len(found)
        return {"Metrics": metrics} | ({"NextToken": _token(request, first + LIST_PAGE)} if more else {})

    def get_metric_data(self, request: dict[str, Any], now: float) -> dict[str, Any]:
        """Each page holds every query with its share of the page; PartialData until a query's last one."""
        queries = _checked_queries(request)
        start, end = float(request["StartTime"]), float(request["EndTime"])
        shown = [query for query in queries if query.get("ReturnData", True)]
        per_page = min(self.faults.page_datapoints or self.settings.page_datapoints, MAX_DATAPOINTS)
        per_page = min(per_page, int(request.get("MaxDatapoints", MAX_DATAPOINTS)))
        share = max(1, per_page // max(1, len(shown)))
        first = _page_of(request, "NextToken")
        results, more = [], False
        for query in shown:
            series = self._series(query["MetricStat"], start, end, now)
            if request.get("ScanBy", "TimestampDescending") == "TimestampDescending":
                series.reverse()
            complete = first + share >= len(series)
            more = more or not complete
            page = self._disturbed(series[first : first + share], first)
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label", query["MetricStat"]["Metric"]["MetricName"]),
                    "Timestamps": [moment for moment, _ in page],
                    "Values": [value for _, value in page],
                    "StatusCode": "Complete" if complete else "PartialData",
                }
            )
        answer = {"MetricDataResults": results, "Messages": []}
        if more and self._hit("cut_short"):
            return answer
        return answer | ({"NextToken": _token(request, first + share)} if more else {})

    def _series(self, stat: dict[str, Any], start: float, end: float, now: float) -> list[tuple[float, float]]:
        key = self.store.key(stat["Metric"]["Namespace"], stat["Metric"])
        return self.store.series(key, stat["Stat"], int(stat["Period"]), start, end, now, stat.get("Unit"))

    def _disturbed(self, page: list[tuple[float, float]], first: int) -> list[tuple[float, float]]:
        every = self.faults.drop_every
        if every:
            page = [entry for number, entry in enumerate(page, first + 1) if number % every]
        if self.faults.duplicate:
            page = page[:1] + page
        if self.faults.out_of_order:
            page = page[1::2] + page[::2]
        return page


def _checked_queries(request: dict[str, Any]) -> list[dict[str, Any]]:
    queries = request["MetricDataQueries"]
    if not 1 <= len(queries) <= MAX_QUERIES:
        message = f"The collection MetricDataQueries must have 1 to {MAX_QUERIES} members, got {len(queries)}."
        raise InvalidError("ValidationError", message)
    ids = [query["Id"] for query in queries]
    if wrong := next((id_ for id_ in ids if not _ID.fullmatch(id_)), None):
        raise InvalidError("ValidationError", f"The value {wrong!r} for parameter MetricDataQueries.Id is invalid.")
    if len(set(ids)) < len(ids):
        raise InvalidError("ValidationError", "The values for parameter MetricDataQueries.Id are not unique.")
    if float(request["StartTime"]) >= float(request["EndTime"]):
        message = "The parameter StartTime must be less than the parameter EndTime."
        raise InvalidError("ValidationError", message)
    for query in queries:
        if "MetricStat" not in query:
            raise InvalidError(
                "ValidationError", f"{query['Id']}: this stand-in knows MetricStat only, no expressions."
            )
        check_statistic(query["MetricStat"]["Stat"])
        period = int(query["MetricStat"]["Period"])
        if period not in HIGH_RESOLUTION_PERIODS and (period <= 0 or period % 60):
            message = f"The value {period} for parameter Period is invalid: 1, 5, 10, 20, 30 or a multiple of 60."
            raise InvalidError("ValidationError", message)
    return queries


def _fingerprint(request: dict[str, Any]) -> str:
    rest = {name: value for name, value in request.items() if name != "NextToken"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


def _token(request: dict[str, Any], first: int) -> str:
    return base64.urlsafe_b64encode(f"{_fingerprint(request)}:{first}".encode()).decode()


def _page_of(request: dict[str, Any], field_name: str) -> int:
    """Where the page begins; a token of another request is refused, as CloudWatch does."""
    if not request.get(field_name):
        return 0
    try:
        fingerprint, first = base64.urlsafe_b64decode(request[field_name]).decode().split(":")
        if fingerprint == _fingerprint(request):
            return int(first)
    except ValueError:
        pass
    raise InvalidError("InvalidNextToken", "The token does not belong to this request.")


def _error(status: int, code: str, message: str) -> bytes:
    body = json.dumps({"__type": f"com.amazonaws.cloudwatch.v2010_08_01#{code}", "message": message}).encode()
    fault = "Sender" if status < 500 else "Receiver"
    header = f"x-amzn-query-error: {code};{fault}\r\n".encode()
    return response(status, body, b"application/x-amz-json-1.0", header)


async def start(settings: CloudWatchSettings) -> dict:
    """Listen; returns what to announce."""
    loop = asyncio.get_running_loop()
    service, traffic = CloudWatch(settings), Traffic()
    server = await loop.create_server(lambda: HTTPConnection(service.handle, traffic), settings.host, settings.port)
    return {"port": port_of(server)}


if __name__ == "__main__":
    chosen = CloudWatchSettings.parse(description=__doc__)
    run(lambda: start(chosen))
