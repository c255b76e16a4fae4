"""What `locust -f` gets: users and levels of the run that GENKAI_RUN names; importing it is starting the process."""

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


class Levels(LevelShape):
    """The run's levels."""

    engine = _engine


if _engine.job.locustfile is not None:
    record_events(_engine, events)
elif _engine.job.workload == "closed":

    class Caller(PlanUser):
        """The run's users."""

        engine = _engine

else:

    class Schedule(ScheduleUser):
        """The run's arrivals."""

        engine = _engine


events.init.add_listener(_engine.attach)
