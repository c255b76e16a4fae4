"""The local AWS: moto's server as a process, and the fleet that discovery will find in it."""

import logging
import os
import threading
from dataclasses import dataclass
from typing import Any

from genkai.demo.serve import announce, hold_lease
from genkai.demo.settings import Settings, option

REGION = "ap-northeast-1"
ZONES = (f"{REGION}a", f"{REGION}c")
# What botocore calls each service in AWS_ENDPOINT_URL_<service>.
ENDPOINT_VARIABLES = {
    "cloudwatch": "AWS_ENDPOINT_URL_CLOUDWATCH",
    "elb": "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING",
    "elbv2": "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
    "ec2": "AWS_ENDPOINT_URL_EC2",
    "autoscaling": "AWS_ENDPOINT_URL_AUTO_SCALING",
    "ecs": "AWS_ENDPOINT_URL_ECS",
    "sts": "AWS_ENDPOINT_URL_STS",
    "dynamodb": "AWS_ENDPOINT_URL_DYNAMODB",
    "elasticache": "AWS_ENDPOINT_URL_ELASTICACHE",
}


@dataclass(frozen=True)
class MotoSettings(Settings):
    """Where moto listens."""

    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(0, "port to listen on; 0: the system chooses")


def environment(endpoints: dict[str, str]) -> dict[str, str]:
    """Environment in which any boto3 talks to the local AWS and can reach no real account."""
    return {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **{ENDPOINT_VARIABLES[service]: url for service, url in endpoints.items()},
    }


class Fleet:
    """A classic load balancer and an Auto Scaling group of instances, made and changed with boto3."""

    def __init__(self, endpoints: dict[str, str], name: str, instance_type: str) -> None:
        import boto3  # half a second to import: only where an AWS is wanted
        from botocore.config import Config

        # Waited for instead of sent again: what was heard and is answered late would be made twice.
        direct = Config(proxies={}, retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=120)
        variables = environment({})
        session = boto3.Session(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
        self.clients: dict[str, Any] = {
            service: session.client(service, endpoint_url=endpoints[service], config=direct)
            for service in ("elb", "autoscaling", "ec2")
        }
        self.name, self.instance_type = name, instance_type
        self.group = f"{name}-group"

    def create(self, instances: int, maximum: int) -> list[str]:
        """Make load balancer, launch template and group; returns the ids of its instances."""
        elb, scaling, ec2 = (self.clients[service] for service in ("elb", "autoscaling", "ec2"))
        listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}
        elb.create_load_balancer(LoadBalancerName=self.name, Listeners=[listener], AvailabilityZones=list(ZONES))
        check = {
            "Target": "HTTP:80/health",
            "Interval": 5,
            "Timeout": 2,
            "UnhealthyThreshold": 2,
            "HealthyThreshold": 2,
        }
        elb.configure_health_check(LoadBalancerName=self.name, HealthCheck=check)
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        template = f"{self.name}-template"
        monitoring = {"ImageId": image, "InstanceType": self.instance_type, "Monitoring": {"Enabled": True}}
        ec2.create_launch_template(LaunchTemplateName=template, LaunchTemplateData=monitoring)
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=self.group,
            LaunchTemplate={"LaunchTemplateName": template, "Version": "$Latest"},
            MinSize=1,
            MaxSize=maximum,
            DesiredCapacity=instances,
            AvailabilityZones=list(ZONES),
            LoadBalancerNames=[self.name],
        )
        return self.instance_ids()

    def instance_ids(self) -> list[str]:
        """Ids of the group's instances, oldest first."""
        groups = self.clients["autoscaling"].describe_auto_scaling_groups(AutoScalingGroupNames=[self.group])
        return [instance["InstanceId"] for instance in groups["AutoScalingGroups"][0]["Instances"]]

    def set_desired(self, instances: int) -> None:
        """Change the group's size; raises ValueError outside its limits, which moto itself does not check."""
        groups = self.clients["autoscaling"].describe_auto_scaling_groups(AutoScalingGroupNames=[self.group])
        group = groups["AutoScalingGroups"][0]
        if not group["MinSize"] <= instances <= group["MaxSize"]:
            limits = f"{group['MinSize']}–{group['MaxSize']}"
            raise ValueError(f"{self.group}: expected {limits} instances, got {instances}")
        self.clients["autoscaling"].set_desired_capacity(AutoScalingGroupName=self.group, DesiredCapacity=instances)


def serve(settings: MotoSettings) -> None:
    """Run moto's server until the parent ends."""
    hold_lease()
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(settings.host, settings.port, application, threaded=True, request_handler=MotoRequestHandler)
    announce(port=server.port)
    threading.Thread(target=_preload, daemon=True).start()
    server.serve_forever()


def _preload() -> None:
    from moto.backends import get_backend

    for service in ("ec2", "elb", "autoscaling"):
        get_backend(service)


if __name__ == "__main__":
    serve(MotoSettings.parse(description=__doc__))
