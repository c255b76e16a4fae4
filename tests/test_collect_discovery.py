"""collect.discovery against moto's server; the policies in docs/iam name exactly the calls made."""

from __future__ import annotations

import http.server
import json
import re
import threading
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from genkai.collect import aws as aws_module
from genkai.collect.aws import iam_action
from genkai.collect.cache_nodes import core_share
from genkai.collect.catalogue import metrics_of
from genkai.collect.discovery import Discovery, discover
from genkai.collect.discovery_view import environment_differences
from genkai.collect.errors import CollectError
from genkai.collect.limits import credit_base_line
from genkai.demo.children import Child
from genkai.pages.discovery import discovery_table
from genkai.plan import Aws, Environment
from genkai.report.messages import Messages

ROOT = Path(__file__).parents[1]
SERVICES = ("elbv2", "elb", "ec2", "autoscaling", "ecs", "cloudwatch", "elasticache")
REGION = "ap-northeast-1"
CACHES = {
    "sessions": ("cache.t3.micro", "redis"),
    "pages": ("cache.t3.small", "memcached"),
    "big": ("cache.m5.xlarge", "redis"),
}


class World:
    """A VPC with an ALB before an Auto Scaling group, an NLB, a classic ELB, and an ECS service behind an ALB."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.made = {s: self._client(s) for s in SERVICES}
        ec2 = self.made["ec2"]
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=f"{REGION}{z}")["Subnet"][
                "SubnetId"
            ]
            for i, z in enumerate("ac")
        ]
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        ec2.create_launch_template(
            LaunchTemplateName="web", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.medium"}
        )
        self.targets = self.target_group("web", "instance")
        self.made["autoscaling"].create_auto_scaling_group(
            AutoScalingGroupName="web", LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"}, MinSize=1,
            MaxSize=4, DesiredCapacity=3, VPCZoneIdentifier=self.subnets[0], TargetGroupARNs=[self.targets],
        )  # fmt: skip
        self.balancer("shop", "application", self.targets)
        self.balancer("fast", "network", self.target_group("flow", "instance", "TCP"))
        self.containers()
        self.made["elb"].create_load_balancer(
            LoadBalancerName="old", AvailabilityZones=[f"{REGION}a"],
            Listeners=[{"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}],
        )  # fmt: skip
        self.caches()
        self.instances = self.group_instances()
        self.made["elb"].register_instances_with_load_balancer(
            LoadBalancerName="old", Instances=[{"InstanceId": self.instances[0]}]
        )

    def _client(self, service):
        return boto3.client(service, REGION, endpoint_url=self.url, aws_access_key_id="x", aws_secret_access_key="x",
                            config=Config(proxies={}))  # fmt: skip

    def target_group(self, name, kind, protocol="HTTP"):
        made = self.made["elbv2"].create_target_group(
            Name=name, Protocol=protocol, Port=80, VpcId=self.vpc, TargetType=kind
        )
        return made["TargetGroups"][0]["TargetGroupArn"]

    def balancer(self, name, kind, targets):
        made = self.made["elbv2"].create_load_balancer(Name=name, Subnets=self.subnets, Type=kind)
        self.made["elbv2"].create_listener(
            LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"], Port=80,
            Protocol="HTTP" if kind == "application" else "TCP",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
        )  # fmt: skip

    def containers(self):
        tasks = self.target_group("tasks", "ip")
        self.balancer("boxes", "application", tasks)
        ecs = self.made["ecs"]
        ecs.create_cluster(clusterName="main")
        ecs.register_task_definition(family="app", containerDefinitions=[{"name": "app", "image": "app", "memory": 64}])
        for name, arns in (("app", [tasks]), ("other", [])):
            ecs.create_service(
                cluster="main", serviceName=name, taskDefinition="app", desiredCount=2,
                loadBalancers=[{"targetGroupArn": a, "containerName": "app", "containerPort": 80} for a in arns],
            )  # fmt: skip

    def group_instances(self):
        groups = self.made["autoscaling"].describe_auto_scaling_groups(AutoScalingGroupNames=["web"])
        return [i["InstanceId"] for i in groups["AutoScalingGroups"][0]["Instances"]]

    def caches(self):
        for name, (kind, engine) in CACHES.items():
            self.made["elasticache"].create_cache_cluster(
                CacheClusterId=name, CacheNodeType=kind, Engine=engine, NumCacheNodes=1
            )

    def aws(self, name=None, *caches, **endpoints) -> Aws:
        return Aws(
            load_balancer=name,
            services={"elasticache": list(caches)},
            endpoints={**dict.fromkeys(SERVICES, self.url), **endpoints},
        )


@pytest.fixture(scope="module")
def world():
    child = Child("genkai.demo.local_aws", [])
    try:
        yield World(f"http://127.0.0.1:{child.ready()['port']}")
    finally:
        child.stop()


def test_from_an_alb_to_its_instances_group_and_limits(world):
    found = discover(world.aws("shop"))
    assert found.warnings == []
    assert found.load_balancer["kind"] == "alb"
    assert found.load_balancer["dimension"].startswith("app/shop/")
    assert [g["name"] for g in found.target_groups] == ["web"]
    assert {i["id"] for i in found.instances} == set(world.group_instances())
    assert {i["group"] for i in found.instances} == {"web"}
    assert [(g["min"], g["max"], g["desired"]) for g in found.groups] == [(1, 4, len(found.instances))]
    limits = found.instance_types["t3.medium"]
    assert (limits["vcpus"], limits["memory_gib"], limits["burstable"]) == (2, 4.0, True)
    assert limits["credit_base_line_ratio"] == 0.2
    assert limits["network_base_line_gbps"] == 0.256


def test_cache_nodes_with_their_engine_and_vcpus(world):
    found = discover(world.aws(None, *CACHES))
    assert found.warnings == []
    assert found.nodes == {
        "elasticache:sessions": {"type": "cache.t3.micro", "engine": "redis", "vcpus": 2},
        "elasticache:pages": {"type": "cache.t3.small", "engine": "memcached", "vcpus": 2},
        "elasticache:big": {"type": "cache.m5.xlarge", "engine": "redis", "vcpus": 4},
    }
    assert [core_share(found.nodes[f"elasticache:{name}"]) for name in CACHES] == [0.5, 1.0, 1.0]
    told = discovery_table(found, Messages("en")).set_index("name")
    assert (told.loc["sessions", "state"], told.loc["sessions", "limits"]) == ("cache.t3.micro, redis", "2 vCPU")
    assert Discovery.from_record(json.loads(json.dumps(found.record()))) == found


def test_a_cache_that_does_not_exist_hides_no_other_and_is_told(world):
    found = discover(world.aws(None, "gone", "sessions"))
    assert list(found.nodes) == ["elasticache:sessions"]
    (warning,) = found.warnings
    assert "DescribeCacheClusters: expected a resource of that name on gone" in warning


def test_what_is_found_is_what_cloudwatch_is_asked_about(world):
    found = discover(world.aws("shop"))
    kinds = [r.kind for r in found.resources()]
    assert kinds == ["alb", "alb_target_group", *["instance"] * len(found.instances), "group"]
    for resource in found.resources():
        wanted = {d for m in metrics_of(resource.kind) if not m.fixed for d in m.dimensions}
        assert wanted == set(resource.dimensions)
    assert found.resources()[1].dimensions["TargetGroup"].startswith("targetgroup/web/")


def test_nlb(world):
    found = discover(world.aws("fast"))
    assert found.load_balancer["kind"] == "nlb"
    assert [r.kind for r in found.resources()] == ["nlb", "nlb_target_group"]


def test_classic(world):
    found = discover(world.aws("old"))
    assert found.load_balancer["kind"] == "classic"
    assert [i["id"] for i in found.instances] == [world.instances[0]]
    assert found.resources()[0].dimensions == {"LoadBalancerName": "old"}


def test_ecs_services_behind_ip_targets(world):
    found = discover(world.aws("boxes"))
    assert [(s["cluster"], s["service"], s["desired"]) for s in found.ecs_services] == [("main", "app", 2)]
    assert found.instances == []


def test_services_that_the_plan_names(world):
    aws = Aws(services={"dynamodb": ["t"], "ecs": ["main/app"], "sqs": ["q"]})
    assert [r.label for r in discover(aws).resources()] == ["dynamodb:t", "ecs:main/app", "sqs:q"]


def test_an_unknown_load_balancer(world):
    with pytest.raises(CollectError, match=f"expected a load balancer in {REGION}, got none named 'nope'") as caught:
        discover(world.aws("nope"))
    assert "\n" not in str(caught.value)


def test_the_record_comes_back_whole(world):
    found = discover(world.aws("shop"))
    assert Discovery.from_record(json.loads(json.dumps(found.record()))) == found


class _Denied(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
        self.send_response(403)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def denied():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Denied)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_missing_permission_is_named_and_the_rest_goes_on(world, denied):
    found = discover(world.aws("shop", autoscaling=denied))
    assert len(found.warnings) == 1
    assert "expected permission autoscaling:DescribeAutoScalingInstances" in found.warnings[0]
    assert len(found.instances) == len(world.group_instances())
    assert found.groups == []


def test_no_permission_for_the_newer_load_balancers_still_finds_a_classic_one(world, denied):
    found = discover(world.aws("old", elbv2=denied))
    assert "elasticloadbalancing:DescribeLoadBalancers on old" in found.warnings[0]
    assert found.load_balancer["kind"] == "classic"


def test_differences_from_the_plan(world):
    found = discover(world.aws("shop"))
    count = len(found.instances)
    same = {"instances": count, "instance_type": "t3.medium", "load_balancer": "Application LB (ALB)", "other": 1}
    assert environment_differences(found, Environment(target=same)) == []
    stated = {"instances": count + 1, "instance_type": "t3.large", "load_balancer": "classic ELB", "vcpus": 8}
    found_items = {
        d["item"]: (d["plan"], d["found"]) for d in environment_differences(found, Environment(target=stated))
    }
    assert found_items == {
        "instances": (str(count + 1), str(count)), "instance_type": ("t3.large", "t3.medium"),
        "load_balancer": ("classic ELB", "alb"), "vcpus": ("8", "2"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "share"), [("t3.nano", 0.05), ("t4g.xlarge", 0.4), ("t2.xlarge", 0.225), ("m5.large", None)]
)
def test_credit_base_line(name, share):
    assert credit_base_line(name) == share


# ---- the policies


def policy(name: str) -> set[str]:
    statements = json.loads((ROOT / "docs" / "iam" / f"{name}.json").read_text())["Statement"]
    return {action for s in statements for action in s["Action"]}


def calls_in(*modules: str) -> set[str]:
    """Every API call that stands in the source: they all go through aws.call with both names as literals."""
    pattern = re.compile(r'"(elbv2|elb|ec2|autoscaling|ecs|cloudwatch|elasticache|sts)",\s*"([A-Z][A-Za-z]+)"')
    texts = [(ROOT / "lib" / "genkai" / "collect" / f"{m}.py").read_text() for m in modules]
    return {iam_action(service, action) for text in texts for service, action in pattern.findall(text)}


def test_the_read_policy_names_exactly_the_calls_of_the_source():
    modules = [p.stem for p in (ROOT / "lib" / "genkai" / "collect").glob("*.py") if p.stem != "scaling"]
    assert policy("read") == calls_in(*modules)


def test_the_scale_policy_names_exactly_what_the_read_policy_lacks_and_writes_to_one_target_only():
    assert policy("scale") == calls_in("scaling") - policy("read")
    for statement in json.loads((ROOT / "docs/iam/scale.json").read_text())["Statement"]:
        reads = all(":Describe" in action for action in statement["Action"])
        assert reads or statement["Resource"].startswith("arn:")


def test_no_call_goes_round_the_one_that_is_counted():
    modules = (ROOT / "lib" / "genkai" / "collect").glob("*.py")
    assert {p.stem for p in modules if "import boto3" in p.read_text()} == {"aws"}


def test_the_calls_that_are_made_are_in_the_policy(world, monkeypatch):
    seen = set()
    real = aws_module.client

    def watched(aws, service):
        made = real(aws, service)
        made.meta.events.register("before-call.*", lambda model, **_: seen.add(iam_action(service, model.name)))
        return made

    monkeypatch.setattr("genkai.collect.discovery.client", watched)
    for name in ("shop", "fast", "old", "boxes"):
        discover(world.aws(name, "sessions"))
    assert seen == {a for a in policy("read") if not a.startswith("cloudwatch:")}
