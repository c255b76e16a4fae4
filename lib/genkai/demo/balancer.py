"""The load balancer as a process: clients on one port, statistics and changes on another."""

import asyncio
import json

from genkai.demo.http import HTTPConnection, Request, Traffic, json_response
from genkai.demo.routing import Balancer, Front
from genkai.demo.serve import port_of, run
from genkai.demo.settings import BalancerSettings


class Control:
    """The control port: `GET /__stats[?reset]`, `GET /__ready?instances=` (503 until exactly so many are healthy),
    `POST /capacity`, `POST /instances`, `DELETE /instances?id=`."""

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer

    def handle(self, connection: HTTPConnection, request: Request) -> None:
        """Answer one call; what is wrong with it comes back as 400."""
        try:
            status, content = self.route(request)
        except (ValueError, KeyError, TypeError) as error:
            status, content = 400, {"error": f"{request.method} {request.path}: {error}"}
        connection.answer(json_response(status, content))

    def route(self, request: Request) -> tuple[int, dict]:
        """Status and content of the answer."""
        call = (request.method, request.path)
        if call == ("GET", "/__stats"):
            return 200, self.balancer.stats(reset="reset" in request.query)
        if call == ("GET", "/__ready"):
            healthy = [backend.healthy for backend in self.balancer.backends]
            ready = all(healthy) and len(healthy) == int(request.query["instances"])
            return 200 if ready else 503, {"healthy": sum(healthy), "instances": len(healthy)}
        if call == ("POST", "/capacity"):
            self.balancer.set_capacity(float(json.loads(request.body)["rps"]))
        elif call == ("POST", "/instances"):
            wanted = json.loads(request.body)
            self.balancer.add(str(wanted["id"]), str(wanted["host"]), int(wanted["port"]))
        elif call == ("DELETE", "/instances"):
            self.balancer.remove(request.query["id"])
        else:
            return 404, {"error": f"no such call: {request.method} {request.path}"}
        return 200, {"capacity_rps": self.balancer.capacity_rps, "instances": len(self.balancer.backends)}


async def start(settings: BalancerSettings) -> dict:
    """Listen on both ports; returns what to announce."""
    loop = asyncio.get_running_loop()
    balancer = Balancer(settings)
    control, traffic = Control(balancer), Traffic()
    front = await loop.create_server(lambda: Front(balancer), settings.host, settings.port, backlog=2048)
    admin = await loop.create_server(
        lambda: HTTPConnection(control.handle, traffic), settings.host, settings.control_port
    )
    balancer.housekeeping = loop.create_task(balancer.expire_for_ever())
    return {"port": port_of(front), "control_port": port_of(admin)}


if __name__ == "__main__":
    chosen = BalancerSettings.parse(description=__doc__)
    run(lambda: start(chosen))
