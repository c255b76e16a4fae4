"""The demo's story in numbers: 100 and 500 users pass, 1 000 stall at the cold balancer, and pass once it is warm."""

from genkai.demo.settings import AppSettings, BalancerSettings

LOAD_BALANCER = "genkai-demo"
INSTANCE_TYPE = "t3.medium"
INSTANCES, MAX_INSTANCES = 2, 8
COLD_CAPACITY_RPS = 520.0  # just enough for 500 users with 1 s think time, half of what 1 000 need
WARM_CAPACITY_RPS = 2000.0
# A classic ELB holds 1 024, more than 1 000 users can fill: scaled down so that the queue of the demo runs over, too.
SURGE_QUEUE = 440
APP = AppSettings(slots=32, cpu_ms=0.1, io_ms=20.0)
# Scale-out: an instance carries slots ÷ wait = 160 rps, and four of them more than the load balancer does.
SMALL_APP = AppSettings(slots=8, cpu_ms=0.1, io_ms=50.0, io_spread=0.1)
# Requests wait in the instances, as behind an application load balancer, unless the balancer itself is the limit.
OPEN_BALANCER = BalancerSettings(max_connections=2048)
