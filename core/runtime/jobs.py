"""Long work: one worker, one queue for all browser sessions, served in turn.

A job is named by its request's digest. Asking for the same request again finds the job that runs, or the finished
result, whichever page or session asks: that is how a reload finds its work and a page switch loses none. Requests and
results are plain picklable data, so that a cluster engine can later run the same jobs.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from core.errors import LabError
from core.pipeline import Control, run
from core.request import Request
from core.result import Result, Step
from core.runtime import memory

log = logging.getLogger("lab.jobs")

STORE_BYTES = 48_000_000  # finished results kept for reloads and page switches
GRACE_SECONDS = 10.0  # a reload takes less; a tab closed for longer cancels its job
SWITCH_SECONDS = 0.0005  # how long a drawing page may hold the interpreter while the worker wants it
SWEEP_SECONDS = 5.0  # the least between two sweeps of the heap while jobs run
ACTIVE = ("queued", "loading", "running")


class Job:
    """One request on its way. Read its attributes from any thread; only the worker writes them."""

    def __init__(self, request: Request, owner: str, alive: Callable[[], bool]) -> None:
        self.id = request.digest()
        self.request = request
        self.owner = owner
        self.watchers: dict[str, Callable[[], bool]] = {owner: alive}
        self.control = Control()
        self.state = "queued"  # queued | loading | running | done | stopped | failed
        self.step = Step("queued")
        self.steps: deque[Step] = deque(maxlen=getattr(request, "KEEP_STEPS", 1))  # steps that carry data
        self.preview: Any = None
        self.result: Result | None = None
        self.error = ""
        self.created = time.time()
        self.finished = 0.0
        self.generating_since = 0.0
        self.unseen_since = 0.0

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def progress(self) -> float:
        """Share done, 0 to 1 (0 when the total is unknown)."""
        if self.state in ("done", "stopped"):
            return 1.0
        return min(1.0, self.step.index / self.step.total) if self.step.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the pace so far; None while it cannot be known."""
        if not self.generating_since or not 0 < self.progress < 1:
            return None
        spent = time.time() - self.generating_since
        return spent * (1 - self.progress) / self.progress

    def stop(self, after_sample: bool = False) -> None:
        """Stop within one step, or once the current sample is done; what there is becomes the result."""
        self.control.stop(after_sample)


class Queue:
    """The worker and its jobs. Use `queue()`: one for the process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[Job] = []
        self._jobs: OrderedDict[str, Job] = OrderedDict()  # active and recent, by digest
        self._used: dict[str, float] = {}  # owner -> seconds of the worker, since the least of those who waited
        self._pace: dict[tuple[str, str], float] = {}  # (pipeline, model) -> seconds a unit of work
        self._running: Job | None = None
        self._swept, self._untidy = 0.0, False  # when the heap was last swept; whether jobs ran since
        # Torch gives the interpreter up at every operation and has to wait for it again: with the default of 5 ms and
        # a few pages being drawn, a picture of a thousand operations waits for seconds.
        sys.setswitchinterval(SWITCH_SECONDS)
        threading.Thread(target=self._work, name="lab-worker", daemon=True).start()
        threading.Thread(target=self._watch, name="lab-watch", daemon=True).start()

    # --- asking ---------------------------------------------------------------------------------------------------
    def submit(self, request: Request, owner: str, alive: Callable[[], bool] = lambda: True) -> Job:
        """The job of this request: the running or finished one when there is one, else a new one in the queue."""
        with self._condition:
            job = self._jobs.get(request.digest())
            if job is not None and (job.active or job.state == "done") and not job.control.finishing:
                job.watchers[owner] = alive
                self._jobs.move_to_end(job.id)
                return job
            job = Job(request, owner, alive)
            others = [self._used[other.owner] for other in [*self._waiting, *filter(None, [self._running])]]
            if owner not in {other.owner for other in self._waiting}:  # who comes (back) starts level with the rest
                self._used[owner] = max(self._used.get(owner, 0.0), min(others, default=0.0))
            self._jobs[job.id] = job
            self._jobs.move_to_end(job.id)
            self._waiting.append(job)
            self._condition.notify_all()
            return job

    def find(self, request: Request) -> Job | None:
        """The job of this request if there is one, in whatever state; starts nothing."""
        with self._condition:
            return self._jobs.get(request.digest())

    def place(self, job: Job) -> int:
        """How many jobs are served before this one (0: it is next or running)."""
        with self._condition:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (1 if self._running else 0)

    def pending(self) -> int:
        """Jobs waiting or running."""
        with self._condition:
            return len(self._waiting) + (1 if self._running else 0)

    def owners(self) -> int:
        """Browser sessions that wait for a job."""
        with self._condition:
            return len({job.owner for job in [*self._waiting, *([self._running] if self._running else [])]})

    def stop_all(self, timeout: float = 20.0) -> bool:
        """Stop every job and wait (tests, benchmarks). True when all have ended."""
        with self._condition:
            for job in [*self._waiting, *([self._running] if self._running else [])]:
                job.stop()
        end = time.time() + timeout
        while self.pending() and time.time() < end:
            time.sleep(0.02)
        return not self.pending()

    def forget(self) -> None:
        """Drop all finished jobs and results."""
        with self._condition:
            for job_id in [job.id for job in self._jobs.values() if not job.active]:
                del self._jobs[job_id]

    def expected_seconds(self, request: Request) -> float | None:
        """Seconds this request should take, from runs of this process or the card; None when nothing is known."""
        pace = self._pace.get((request.PIPELINE, request.model))
        if pace is None and request.model:
            from core import catalog

            card = next((c for c in catalog.cards() if c.id == request.model), None)
            pace = card.extra.get("seconds_per_unit") if card else None
        return None if pace is None else pace * work(request)

    # --- serving --------------------------------------------------------------------------------------------------
    def _next(self) -> Job:
        """The waiting job whose owner has had the least of the worker, so that nobody starves: a strip of ten pictures
        does not push in before a film, and a film does not cost as much as one picture.
        """
        with self._condition:
            while not self._waiting:
                self._used.clear()
                self._condition.wait()
            job = min(self._waiting, key=lambda j: (self._used[j.owner], j.created))
            self._waiting.remove(job)
            self._running = job
            return job

    def _work(self) -> None:
        while True:
            job, began = self._next(), time.time()
            try:
                self._serve(job)
            finally:
                with self._condition:
                    job.finished = time.time()
                    self._used[job.owner] += job.finished - began
                    self._running = None
                    self._evict()

    def _serve(self, job: Job) -> None:
        if job.control.finishing:  # stopped while it waited
            job.state = "stopped"
            return
        job.state = "loading"
        try:
            for item in run(job.request, job.control):
                if isinstance(item, Result):
                    job.result = item
                else:
                    self._advance(job, item)
        except LabError as error:
            job.error, job.state = str(error), "failed"
            return
        except MemoryError:
            job.error, job.state = "This ran out of memory; ask for fewer or smaller samples.", "failed"
            return
        except Exception as error:  # a failing job fails alone: the worker and the other jobs go on
            log.exception("job %s failed", job.id)
            job.error = f"This run failed inside ({type(error).__name__}); change a setting and run again."
            job.state = "failed"
            return
        if job.result is not None and job.result.complete and job.result.seconds:
            self._pace[job.request.PIPELINE, job.request.model] = job.result.seconds / work(job.request)
        job.state = "stopped" if job.control.finishing else "done"

    def _advance(self, job: Job, step: Step) -> None:
        if step.phase != "load" and job.state == "loading":
            job.state, job.generating_since = "running", time.time()
        job.step = step
        if step.preview is not None:
            job.preview = step.preview
        if step.data is not None:
            job.steps.append(step)

    def _evict(self) -> None:
        """Keep the most recent results, within STORE_BYTES and 64 jobs."""
        idle = [job for job in self._jobs.values() if not job.active]
        held = sum(_job_bytes(job) for job in idle)
        for job in idle[:-1]:  # the newest always stays
            if held <= STORE_BYTES and len(self._jobs) <= 64:
                break
            held -= _job_bytes(job)
            del self._jobs[job.id]

    def _sweep(self, busy: bool) -> None:
        """Once after the last job, and while jobs run when memory grows short; it takes half a second of everybody's."""
        now = time.time()
        short = busy and now - self._swept > SWEEP_SECONDS and memory.rss_mb() > 0.85 * memory.budget_mb()
        if short or (self._untidy and not busy):
            memory.trim()
            self._swept = time.time()
        self._untidy = busy

    def _watch(self) -> None:
        """Stop jobs that nobody has looked at for GRACE_SECONDS: their tabs were closed. Sweep the heap."""
        while True:
            time.sleep(1.0)
            with self._condition:
                jobs = [*self._waiting, *([self._running] if self._running else [])]
            self._sweep(bool(jobs))
            for job in jobs:
                if any(alive() for alive in list(job.watchers.values())):
                    job.unseen_since = 0.0
                elif not job.unseen_since:
                    job.unseen_since = time.time()
                elif time.time() - job.unseen_since > GRACE_SECONDS:
                    job.stop()


def work(request: Request) -> float:
    """Units of work in a request: samples times steps, unless the request has its own `work()`."""
    own = getattr(request, "work", None)
    if callable(own):
        return max(1e-9, float(own()))
    return float(max(1, getattr(request, "count", 1)) * max(1, getattr(request, "num_inference_steps", 1)))


def _job_bytes(job: Job) -> int:
    from core.result import _nbytes

    kept = sum(_nbytes(step.__dict__) for step in list(job.steps))
    return kept + (job.result.nbytes() if job.result else 0)


_queue: Queue | None = None
_making = threading.Lock()


def queue() -> Queue:
    """The one queue of this process, made by whoever asks first, even if many ask at once."""
    global _queue
    with _making:
        if _queue is None:
            _queue = Queue()
    return _queue
