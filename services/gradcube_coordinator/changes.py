"""The changes of a job that make a new epoch, and the events that tell of them, in order; without clock or I/O."""

from gradcube.sync.coordinator_models import JobDescription
from gradcube_coordinator.jobs import Event, EventKind, Job, MemberLease, ServerLeaseState


class Changes:
    """Changes jobs and keeps the events until they are taken. `JobRegistry` decides when; not thread-safe."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order."""
        taken, self._events = self._events, []
        return taken

    def begin(self, job: Job, description: JobDescription, attempt: int, now: float) -> None:
        """A new attempt: nobody has started or finished it, and no checkpoint is of it."""
        job.description, job.attempt, job.created_at = description, attempt, now
        job.started = job.finishing = job.finished = False
        job.checkpoints.clear()
        job.epoch += 1
        self.tell("OTHER", job, f"attempt {attempt} waits for {description.world_size} workers and all shards")

    def maybe_start(self, job: Job) -> None:
        """Starts the job once all workers and all shards are there."""
        description = job.description
        if description is None or job.started or len(job.members) < description.world_size or not job.complete:
            return
        job.started = True
        job.epoch += 1
        self.tell("JOB_STARTED", job, f"{len(job.members)} workers and {job.shards} shards are there")

    def remove(self, job: Job, member: MemberLease, kind: EventKind, detail: str) -> None:
        """Takes a worker out, and tells what that means for those who stay: a new split, or the end."""
        del job.members[member.rank]
        job.epoch += 1
        self.tell(kind, job, detail, member=member)
        if job.members and job.started:
            self.tell("ASSIGNMENT_CHANGED", job, f"batches are split over ranks {job.ranks}")
        elif job.finishing and not job.members:
            job.finished = True
            self.tell("JOB_FINISHED", job, f"finished at step {member.step}", member=member)

    def tell(
        self,
        kind: EventKind,
        job: Job,
        detail: str,
        *,
        member: MemberLease | None = None,
        server: ServerLeaseState | None = None,
        step: int | None = None,
    ) -> None:
        """Notes an event of `member` or `server`, whichever it is about, at the job's epoch of now."""
        where = member or server
        self._events.append(
            Event(
                kind,
                job.name,
                job.attempt,
                job.epoch,
                detail,
                job.description,
                len(job.members),
                rank=None if member is None else member.rank,
                node=None if where is None else where.node,
                shard=None if server is None else server.shard,
                step=step if member is None else member.step,
            )
        )
