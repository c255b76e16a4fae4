"""The cases: faults with their true causes, healthy systems, and limits that the catalogue does not hold."""

from __future__ import annotations

from bench.faults.case import UNKNOWN, Case
from bench.faults.systems import SERVERS, alone, apache, nginx, odd, pinned, tomcat, world
from genkai.demo.settings import AppSettings as App

USUAL = (10, 40, 90)
SMALL_RANGE = {"net.ipv4.ip_local_port_range": "40000 40300", "net.ipv4.tcp_tw_reuse": "0"}
PARSING = """\
import hashlib
from locust import FastHttpUser, constant, task

class Visitor(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def look(self):
        text = self.client.get("/items/7", name="call").content
        for _ in range(3000):  # what parsing a large page costs
            text = hashlib.sha256(text).digest()
"""
SLEEPING = """\
import ctypes
from locust import FastHttpUser, constant, task

nap = ctypes.CDLL(None).usleep  # as a database driver in C would wait: gevent cannot see it

class Visitor(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def look(self):
        self.client.get("/items/7", name="call")
        nap(8000)
"""

NO_SESSION = """\
import time
import requests
from locust import User, constant, task

class Visitor(User):
    wait_time = constant(0.1)

    @task
    def look(self):
        began, error, answer = time.time(), None, None
        try:
            answer = requests.get(self.host + "/items/7", timeout=5)  # not self.client: a connection each time
        except OSError as failed:
            error = failed
        self.environment.events.request.fire(
            request_type="GET", name="call", response_time=(time.time() - began) * 1000, response_length=0,
            exception=error, response=answer, start_time=began)
"""

FAULTS = (
    # the load generator
    Case("generator_parses", "generator_cpu", world(App(io_ms=10)), (5, 20, 60, 120), locustfile=PARSING),
    Case(
        "generator_core_shared",
        "generator_cpu",
        pinned(world(App(io_ms=10)), rival=True),
        (5, 20, 60, 120),
        locustfile=PARSING,
    ),
    Case("generator_sleeps", "generator_loop_lag", world(App(io_ms=10)), (2, 6, 20, 60), locustfile=SLEEPING),
    Case("generator_ports", "generator_ports", alone(App(io_ms=300)), (50, 150, 400), namespace=SMALL_RANGE),
    Case("generator_descriptors", "generator_descriptors", alone(App(io_ms=300)), (30, 80, 250), open_files=200),
    Case("too_few_users", "generator_too_few_users", world(App(io_ms=10)), (10, 20, 40), think_s=0.5),
    Case("machine_full", "shared_machine_cpu", world(App(cpu_ms=4, io_ms=5)), (5, 15, 150, 300)),
    # the load balancer
    Case("lb_capacity", "load_balancer_capacity", world(capacity_rps=200), (10, 20, 50, 80)),
    Case("lb_queue", "load_balancer_capacity", world(capacity_rps=150, surge_queue=10), (60, 120, 200, 280), open=True),
    Case("lb_uneven", "load_uneven", world((App(cpu_ms=16, io_ms=5), App(io_ms=5)), round_robin=True), (3, 8, 20, 40)),
    Case(
        "lb_instance_dies",
        "target_unhealthy",
        world(App(slots=8, io_ms=30), kill_after_s=8, health_interval_s=0.5),
        (10, 20, 40, 45),
    ),
    Case("lb_closed_by_target", "targets_close_connections", world(App(io_ms=10, close=True)), (2, 30, 80)),
    Case(
        "no_keep_alive",
        "generator_ports",
        alone(App(io_ms=5)),
        (2, 5, 15),
        locustfile=NO_SESSION,
        namespace=SMALL_RANGE,
        also=("no_keep_alive",),
    ),
    # the target's host
    Case("app_cpu", "target_cpu", world(App(cpu_ms=12, io_ms=5), instances=1), (3, 8, 20, 40)),
    Case("app_one_core", "target_single_core", alone(App(cpu_ms=12, io_ms=5), watched=True, core=1), (3, 8, 20, 40)),
    Case("app_descriptors", "target_descriptors", alone(App(io_ms=50), watched=True, open_files=60), (10, 30, 80, 120)),
    Case("accept_backlog", "accept_queue", odd("backlog", "4", "0.04"), (3, 8, 40, 80), namespace={}),
    # the application
    Case("worker_slots", "worker_slots", world(App(slots=4, io_ms=40), workers=True, instances=1), USUAL),
    Case("lock", "lock", world(App(lock=True, io_ms=8), workers=True), USUAL),
    Case(
        "sqlite_write_lock",
        "lock",
        world(App(slots=24), program=(SERVERS, "sqlite"), instances=1, workers=True),
        (2, 6, 20, 40),
    ),
    Case(
        "slow_dependency",
        "slow_dependency",
        world(App(io_ms=600), workers=True),
        (5, 10, 20),
        targets={"throughput_rps": 1000, "p95_ms": 400},
    ),
    Case(
        "dependency_pool",
        "slow_dependency",
        world(App(slots=64), program=(SERVERS, "pool"), instances=1, workers=True),
        (5, 15, 35, 50),
    ),
    Case("rate_limit", "rate_limit", world(App(rate_limit=60)), (60, 100, 150, 200), open=True),
    Case(
        "nginx_rate_limit",
        "rate_limit",
        nginx(
            App(io_ms=10),
            http="limit_req_zone $server_addr zone=a:1m rate=100r/s;",
            location="limit_req zone=a burst=5 nodelay; proxy_pass {backend};",
        ),
        (50, 90, 150, 220),
        open=True,
        needs="nginx",
    ),
    Case(
        "pauses",
        "periodic_pauses",
        world(App(stall_every=2, stall_for=1)),
        (10, 20, 30),
        hold_s=7,
        targets={"throughput_rps": 1000, "p95_ms": 300},
    ),
    Case("fast_errors", "application_errors", world(App(fail_ratio=0.25)), USUAL),
    Case(
        "nginx_connections", "worker_slots", nginx(App(io_ms=50), connections=40), (5, 10, 60), hold_s=6, needs="nginx"
    ),
    Case("apache_workers", "worker_slots", apache(App(io_ms=40), 6), (5, 10, 30, 60), needs="apache2"),
    Case(
        "tomcat_threads",
        "worker_slots",
        tomcat(6, 40),
        (5, 20, 50),
        api={"path": "/wait.jsp"},
        hold_s=4,
        needs="tomcat10-admin",
    ),
    # endurance
    Case("memory_leak", "memory_leak", alone(App(io_ms=5, leak_bytes=900_000)), (15,), hold_s=24, step="endurance"),
    Case(
        "descriptor_leak",
        "descriptor_leak",
        alone(program=(SERVERS, "descriptors"), watched=True),
        (15,),
        hold_s=24,
        step="endurance",
    ),
)

HEALTHY = (
    Case("closed", "", world(App(io_ms=10)), (20, 50, 90), targets={"throughput_rps": 300, "p95_ms": 500}),
    Case("open", "", world(App(io_ms=10)), (50, 120, 250), open=True, targets={"throughput_rps": 200, "p95_ms": 500}),
    Case(
        "orders",
        "",
        world(App(io_ms=10)),
        (40, 80, 150),
        open=True,
        targets={"throughput_rps": 100, "p95_ms": 500},
        api={"method": "POST", "path": "/orders", "body": {"item": 1, "quantity": 2}, "check": {"status": [201]}},
    ),
    Case(
        "two_processes",
        "",
        world(App(io_ms=10)),
        (40, 80, 150),
        processes=2,
        targets={"throughput_rps": 300, "p95_ms": 500},
    ),
    Case(
        "tls",
        "",
        nginx(App(io_ms=10), tls=True),
        (20, 50, 90),
        needs="nginx",
        targets={"throughput_rps": 300, "p95_ms": 500},
    ),
    Case(
        "static",
        "",
        nginx(location="return 200 ok;"),
        (200, 500, 900),
        open=True,
        needs="nginx",
        targets={"throughput_rps": 800, "p95_ms": 200},
    ),
    Case("closing", "", alone(App(io_ms=10, close=True)), (10, 30, 60), targets={"throughput_rps": 200, "p95_ms": 500}),
    Case(
        "busy_but_well",
        "",
        world(App(cpu_ms=5, io_ms=5), instances=1),
        (20, 50, 90),
        open=True,
        targets={"throughput_rps": 80, "p95_ms": 500},
    ),
    Case(
        "workers_nearly_all",
        "",
        world(App(slots=10, io_ms=40), instances=1, workers=True),
        (40, 90, 150),
        open=True,
        targets={"throughput_rps": 100, "p95_ms": 500},
    ),
    Case(
        "steady_hours",
        "",
        world(App(io_ms=10)),
        (30,),
        hold_s=24,
        step="endurance",
        targets={"throughput_rps": 200, "p95_ms": 500},
    ),
)

OUTSIDE = (
    Case("unseen_lock", UNKNOWN, alone(App(lock=True, io_ms=8)), USUAL),
    Case("unseen_pool", UNKNOWN, alone(App(slots=64), program=(SERVERS, "pool")), (5, 15, 35, 50)),
    Case("fair_share", UNKNOWN, world(program=(SERVERS, "fair"), instances=1), (5, 15, 40, 80)),
    Case(
        "shaped_by_server",
        UNKNOWN,
        nginx(location="limit_rate 8k; root {place}; try_files /large.txt =404;"),
        (5, 15, 40),
        needs="nginx",
        targets={"throughput_rps": 1000, "p95_ms": 200},
    ),
)

GROUPS = {"faults": FAULTS, "healthy": HEALTHY, "outside": OUTSIDE}
CASES = {case.name: case for group in GROUPS.values() for case in group}
