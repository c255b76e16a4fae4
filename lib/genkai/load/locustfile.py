"""What `locust -f` gets: users and levels of the run that GENKAI_RUN names; importing it is starting the process.

Its classes have names that no own locustfile beside it will have: locust refuses two of one name, and takes the first
file's shape where both have one.
"""

from locust import events

from genkai.load.closed import PlanUser
from genkai.load.engine import Engine
from genkai.load.job import Job
from genkai.load.open import ScheduleUser
from genkai.load.own import record_events
from genkai.load.shape import LevelShape
from genkai.workspace import Run

_folder, _job = Job.of_environment()
_engine = Engine(Run(_folder), _job)
_engine.guard.install()

if _engine.job.web_port is not None:
    from genkai.load.page import InitWithPage

    events.init = InitWithPage(_engine, events.init)


class GenkaiLevels(LevelShape):
    """The run's levels."""

    engine = _engine


if _engine.job.locustfile is not None:
    record_events(_engine, events)
elif _engine.job.workload == "closed":

    class GenkaiCaller(PlanUser):
        """The run's users."""

        engine = _engine

else:

    class GenkaiSchedule(ScheduleUser):
        """The run's arrivals."""

        engine = _engine


events.init.add_listener(_engine.attach)
