"""The demo's CloudWatch stand-in as a process of one test, filled with known numbers."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime
from typing import Any

from genkai.demo.children import Child


class CloudWatchServer:
    """Context manager: `url`, `put`, `faults`, `calls`."""

    def __enter__(self) -> CloudWatchServer:
        import boto3
        from botocore.config import Config

        self._child = Child("genkai.demo.cloudwatch", [])
        self.url = f"http://127.0.0.1:{self._child.ready()['port']}"
        self._client = boto3.client(
            "cloudwatch", "ap-northeast-1", endpoint_url=self.url, aws_access_key_id="x", aws_secret_access_key="x",
            config=Config(proxies={}),
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()

    def put(self, namespace: str, dimensions: dict[str, str], name: str, points: dict[float, Any], unit: str = "Count",
            resolution: int = 60) -> None:  # fmt: skip
        """points: {epoch s: value, or list of raw values}."""
        pairs = [{"Name": k, "Value": v} for k, v in dimensions.items()]
        data = [
            {"MetricName": name, "Dimensions": pairs, "Timestamp": datetime.fromtimestamp(t, UTC), "Unit": unit,
             "StorageResolution": resolution, **({"Values": v} if isinstance(v, list) else {"Value": float(v)})}
            for t, v in points.items()
        ]  # fmt: skip
        for first in range(0, len(data), 1000):
            self._client.put_metric_data(Namespace=namespace, MetricData=data[first : first + 1000])

    def _control(self, path: str, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body or {}).encode(), method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
            return json.load(answer)

    def faults(self, **wanted: Any) -> None:
        """Set faults; without any, clear them."""
        self._control("/__faults", "POST" if wanted else "DELETE", wanted)

    def faults_left(self) -> dict[str, Any]:
        """The faults that are set, counts of those still to come."""
        return self._control("/__faults", "POST")

    def calls(self, operation: str = "GetMetricData") -> int:
        """How often an operation was called."""
        return self._control("/__stats", "POST")["calls"].get(operation, 0)
