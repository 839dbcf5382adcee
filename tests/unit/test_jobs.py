"""The queue: one worker, served in turn; stop, failure, closed tabs, stored results."""

import threading
import time

import numpy as np
import pytest

from core.runtime import jobs
from core.runtime.jobs import Queue
from tests import fake_pipeline
from tests.fake_pipeline import FakeRequest


@pytest.fixture
def queue():
    fake_pipeline.GATE.clear()
    made = Queue()
    yield made
    fake_pipeline.GATE.set()
    assert made.stop_all()


def wait(condition, seconds=20.0):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "waited in vain"
        time.sleep(0.005)


def test_a_job_ends_with_its_result(queue):
    job = queue.submit(FakeRequest(seed=3), "a")
    wait(lambda: not job.active)
    assert (job.state, job.result.steps_run, job.result.seeds) == ("done", 4, [3])


def test_same_request_is_found_again_running_and_finished(queue):
    first = queue.submit(FakeRequest(wait=True), "a")
    assert queue.submit(FakeRequest(wait=True), "b") is first
    fake_pipeline.GATE.set()
    wait(lambda: not first.active)
    assert queue.submit(FakeRequest(wait=True), "c") is first
    assert queue.find(FakeRequest(wait=True)).result is first.result


def test_stop_now_keeps_what_there_is_and_the_true_steps(queue):
    job = queue.submit(FakeRequest(wait=True, count=4), "a")
    wait(lambda: job.state == "loading")
    job.stop()
    wait(lambda: not job.active)
    assert job.state == "stopped"
    assert job.result.steps_run == 0 and not job.result.complete


def test_stop_after_this_sample(queue):
    job = queue.submit(FakeRequest(wait=True, count=5), "a")
    job.stop(after_sample=True)
    other = queue.submit(FakeRequest(wait=True, count=5, seed=1), "a")
    wait(lambda: queue.place(other) == 0)
    other.stop(after_sample=True)
    fake_pipeline.GATE.set()
    wait(lambda: not other.active)
    assert other.result is None or len(other.result.images) == 1


def test_a_stopped_job_can_be_run_again(queue):
    job = queue.submit(FakeRequest(wait=True), "a")
    job.stop()
    fake_pipeline.GATE.set()
    again = queue.submit(FakeRequest(wait=True), "a")
    assert again is not job
    wait(lambda: again.state == "done")


def test_a_failing_job_fails_alone(queue):
    bad = queue.submit(FakeRequest(fail=True), "a")
    good = queue.submit(FakeRequest(), "a")
    wait(lambda: not good.active)
    assert bad.state == "failed" and "ZeroDivisionError" in bad.error and "\n" not in bad.error
    assert good.state == "done"


def test_nobody_starves(queue):
    greedy = [queue.submit(FakeRequest(wait=True, seed=i), "greedy") for i in range(5)]
    modest = queue.submit(FakeRequest(seed=99), "modest")
    assert queue.place(modest) >= 1
    wait(lambda: greedy[0].state == "loading")
    fake_pipeline.GATE.set()
    wait(lambda: not any(job.active for job in greedy))
    assert greedy[0].finished <= modest.finished <= greedy[1].finished


def test_who_comes_late_starts_level_with_those_who_wait(queue):
    first = queue.submit(FakeRequest(wait=True), "long")
    wait(lambda: first.state == "loading")
    queue.submit(FakeRequest(seed=1), "long")
    queue._used["long"] = 7.0  # as if its runs had taken seven seconds
    queue.submit(FakeRequest(seed=2), "new")
    assert queue._used["new"] == 7.0
    fake_pipeline.GATE.set()


def test_many_who_ask_at_once_share_one_queue(monkeypatch):
    monkeypatch.setattr(jobs, "_queue", None)
    gate, found = threading.Barrier(8), []

    def ask():
        gate.wait()
        found.append(jobs.queue())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_a_closed_tab_cancels_its_job(queue, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE_SECONDS", 0.2)
    job = queue.submit(FakeRequest(wait=True), "a", alive=lambda: False)
    wait(lambda: not job.active)
    assert job.state == "stopped"


def test_a_job_two_tabs_watch_outlives_one(queue, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE_SECONDS", 0.2)
    job = queue.submit(FakeRequest(wait=True), "a", alive=lambda: False)
    queue.submit(FakeRequest(wait=True), "b", alive=lambda: True)
    time.sleep(2.5)
    assert job.active
    fake_pipeline.GATE.set()
    wait(lambda: job.state == "done")


def test_store_is_bounded(queue, monkeypatch):
    monkeypatch.setattr(jobs, "STORE_BYTES", 1500)
    made = [queue.submit(FakeRequest(seed=i, count=4), "a") for i in range(6)]
    wait(lambda: not any(job.active for job in made))
    kept = [job for job in made if queue.find(job.request) is job]
    assert made[-1] in kept and len(kept) < 6


def test_neighbours_change_nothing(queue):
    alone = queue.submit(FakeRequest(seed=5), "a")
    batch = queue.submit(FakeRequest(seed=3, count=4), "b")
    wait(lambda: not (alone.active or batch.active))
    np.testing.assert_array_equal(alone.result.images[0], batch.result.images[2])
