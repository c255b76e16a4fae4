"""What an EC2 instance type can do, from DescribeInstanceTypes and, for CPU credits, from AWS's own table."""

from __future__ import annotations

from typing import Any

# Base line per vCPU of burstable types; the API does not tell it. Source: EC2 user guide, key concepts of burstable
# performance instances.
_BASE_LINE = {
    "nano": 0.05,
    "micro": 0.10,
    "small": 0.20,
    "medium": 0.20,
    "large": 0.30,
    "xlarge": 0.40,
    "2xlarge": 0.40,
}
_BASE_LINE_T2 = {**_BASE_LINE, "xlarge": 0.225, "2xlarge": 0.17}


def credit_base_line(instance_type: str) -> float | None:
    """Share of each vCPU that a burstable type sustains without spending credits; None for other types."""
    family, _, size = instance_type.partition(".")
    if family == "t2":
        return _BASE_LINE_T2.get(size)
    return _BASE_LINE.get(size) if family in ("t3", "t3a", "t4g") else None


def type_limits(entry: dict[str, Any]) -> dict[str, Any]:
    """{vcpus, memory_gib, burstable, credit_base_line_ratio, network_*, ebs_*}; None where AWS does not tell."""
    cards = entry.get("NetworkInfo", {}).get("NetworkCards", [])
    disk = entry.get("EbsInfo", {}).get("EbsOptimizedInfo", {})
    return {
        "vcpus": entry.get("VCpuInfo", {}).get("DefaultVCpus"),
        "memory_gib": round(entry.get("MemoryInfo", {}).get("SizeInMiB", 0) / 1024, 3) or None,
        "burstable": bool(entry.get("BurstablePerformanceSupported")),
        "credit_base_line_ratio": credit_base_line(entry["InstanceType"]),
        "network_base_line_gbps": _total(cards, "BaselineBandwidthInGbps"),
        "network_peak_gbps": _total(cards, "PeakBandwidthInGbps"),
        "ebs_base_line_mbps": disk.get("BaselineBandwidthInMbps"),
        "ebs_maximum_mbps": disk.get("MaximumBandwidthInMbps"),
        "ebs_base_line_iops": disk.get("BaselineIops"),
        "ebs_maximum_iops": disk.get("MaximumIops"),
    }


def _total(cards: list[dict[str, Any]], name: str) -> float | None:
    found = [float(card[name]) for card in cards if name in card]
    return round(sum(found), 4) if found else None
