"""A target in moto's server that can be resized, behind a proxy that adds what moto lacks: time, health, refusals."""

from __future__ import annotations

import http.server
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config

from genkai.demo.children import Child
from genkai.plan import Aws

REGION = "ap-northeast-1"
SERVICES = ("autoscaling", "elbv2", "elb", "ec2", "ecs")
DENIED = (
    '<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type>'
    "<Code>AccessDenied</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>"
)


class Proxy(http.server.ThreadingHTTPServer):
    """Passes AWS calls on to moto; counts them, refuses, delays and changes what a test asks for."""

    daemon_threads = True

    def __init__(self, moto: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.moto, self.url = moto, f"http://127.0.0.1:{self.server_port}"
        self.calls: list[str] = []
        self.denied: set[str] = set()
        self.unhealthy = 0  # instances in service that a load balancer never finds healthy
        self.serving: Callable[[], set[str]] = set  # ids of the instances in service
        self.running: int | None = None  # tasks of ECS services, which moto itself never starts
        self.starting_calls = 0  # DescribeServices until the tasks that are wanted run

    def change(self, action: str, content: bytes) -> bytes:
        if action in ("DescribeTargetHealth", "DescribeInstanceHealth") and self.unhealthy:
            return self._spoil(content, b"healthy" if action == "DescribeTargetHealth" else b"InService")
        if action == "DescribeServices":
            found = json.loads(content)
            for service in found["services"]:
                self._run_tasks(service)
            return json.dumps(found).encode()
        return content

    def _spoil(self, content: bytes, good: bytes) -> bytes:
        """Of the targets in service only: moto's load balancers also list those that are gone, in any order."""
        bad = {b"healthy": b"unhealthy", b"InService": b"OutOfService"}[good]
        serving, left, targets = self.serving(), self.unhealthy, content.split(b"<member>")
        for i, target in enumerate(targets):
            if left and any(id_.encode() in target for id_ in serving):
                targets[i] = target.replace(b"<State>%s<" % good, b"<State>%s<" % bad)
                left -= 1
        return b"<member>".join(targets)

    def _run_tasks(self, service: dict[str, Any]) -> None:
        if self.running is None or (self.running != service["desiredCount"] and self.starting_calls <= 0):
            self.running = service["desiredCount"]
        elif self.running != service["desiredCount"]:
            self.starting_calls -= 1
        service["runningCount"] = self.running
        service["pendingCount"] = max(service["desiredCount"] - self.running, 0)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        named = re.search(rb"Action=(\w+)", body)
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or (named[1].decode() if named else "")
        self.server.calls.append(action)
        if action in self.server.denied:
            return self._answer(403, DENIED.encode(), "text/xml")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        asked = urllib.request.Request(self.server.moto + self.path, body, headers)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30) as answer:
                self._answer(answer.status, self.server.change(action, answer.read()), answer.headers["Content-Type"])
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read(), error.headers.get("Content-Type", "text/xml"))

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


class AwsTarget:
    """A group `web` behind an ALB, a group `old` behind a classic ELB, and an ECS service main/app behind an ALB."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        proxy.serving = self.instances
        self.made = {s: self._client(s) for s in SERVICES}
        ec2, self.subnets = self.made["ec2"], []
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        for i, zone in enumerate("ac"):
            subnet = ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=f"{REGION}{zone}")
            self.subnets.append(subnet["Subnet"]["SubnetId"])
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        launched = {"ImageId": image, "InstanceType": "t3.medium"}
        ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=launched)
        self.made["elb"].create_load_balancer(
            LoadBalancerName="classic", AvailabilityZones=[f"{REGION}a"],
            Listeners=[{"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}],
        )  # fmt: skip
        self._group("web", TargetGroupARNs=[self._target_group("web", "instance")])
        self._group("old", LoadBalancerNames=["classic"])
        self._service(self._target_group("tasks", "ip"))

    def _client(self, service: str) -> Any:
        return boto3.client(service, REGION, endpoint_url=self.proxy.url, aws_access_key_id="x",
                            aws_secret_access_key="x", config=Config(proxies={}))  # fmt: skip

    def _target_group(self, name: str, kind: str) -> str:
        elb = self.made["elbv2"]
        made = elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc, TargetType=kind)
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        balancer = elb.create_load_balancer(Name=name, Subnets=self.subnets, Type="application")["LoadBalancers"][0]
        elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Port=80, Protocol="HTTP",
                            DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}])  # fmt: skip
        return arn

    def _group(self, name: str, **given: Any) -> None:
        self.made["autoscaling"].create_auto_scaling_group(
            AutoScalingGroupName=name, LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"}, MinSize=1,
            MaxSize=4, DesiredCapacity=2, VPCZoneIdentifier=self.subnets[0], **given,
        )  # fmt: skip

    def _service(self, tasks: str) -> None:
        ecs = self.made["ecs"]
        ecs.create_cluster(clusterName="main")
        ecs.register_task_definition(family="app", containerDefinitions=[{"name": "app", "image": "app", "memory": 64}])
        ecs.create_service(cluster="main", serviceName="app", taskDefinition="app", desiredCount=2)
        ecs.create_service(
            cluster="main", serviceName="balanced", taskDefinition="app", desiredCount=1,
            loadBalancers=[{"targetGroupArn": tasks, "containerName": "app", "containerPort": 80}],
        )  # fmt: skip

    def instances(self) -> set[str]:
        found = self.made["autoscaling"].describe_auto_scaling_groups()["AutoScalingGroups"]
        return {i["InstanceId"] for group in found for i in group["Instances"] if i["LifecycleState"] == "InService"}

    def reset(self) -> None:
        """All as it was made: nothing refused, nothing sick, both groups at size 2."""
        proxy = self.proxy
        proxy.denied, proxy.unhealthy, proxy.running, proxy.starting_calls = set(), 0, None, 0
        for group in ("web", "old"):
            self.set_desired(group, 2)

    def desired(self, group: str) -> int:
        found = self.made["autoscaling"].describe_auto_scaling_groups(AutoScalingGroupNames=[group])
        return found["AutoScalingGroups"][0]["DesiredCapacity"]

    def set_desired(self, group: str, size: int) -> None:
        self.made["autoscaling"].set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=size)

    def tasks(self) -> int:
        return self.made["ecs"].describe_services(cluster="main", services=["app"])["services"][0]["desiredCount"]

    @property
    def aws(self) -> Aws:
        return Aws(endpoints=dict.fromkeys(SERVICES, self.proxy.url))


@contextmanager
def running_aws() -> Iterator[AwsTarget]:
    child = Child("genkai.demo.local_aws", [])
    try:
        proxy = Proxy(f"http://127.0.0.1:{child.ready()['port']}")
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield AwsTarget(proxy)
        finally:
            proxy.shutdown()
            proxy.server_close()
    finally:
        child.stop()
