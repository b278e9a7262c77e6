"""The scheduling policy of the process around an encoder that changes it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

import pytest
from helpers.clips import restore

from derain.video.scheduling import THREADS, preserve_scheduling

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can change the policy"
)
if sys.platform == "linux":
    NORMAL, REAL_TIME = os.SCHED_OTHER, os.SCHED_FIFO


def policies() -> set[int]:
    """Return the policies of all threads."""
    found = set()
    for folder in THREADS.iterdir():
        with suppress(ProcessLookupError):  # the thread has ended
            found.add(os.sched_getscheduler(int(folder.name)))
    return found


@pytest.fixture(autouse=True)
def normal_policy():
    """Start from the normal policy, whatever an earlier test did to this process."""
    for folder in THREADS.iterdir():
        with suppress(ProcessLookupError):
            os.sched_setscheduler(int(folder.name), NORMAL, os.sched_param(0))


def make_real_time() -> None:
    try:
        os.sched_setscheduler(0, REAL_TIME, os.sched_param(99))
    except PermissionError:
        pytest.skip("this container does not grant real-time priorities")


def test_policy_of_the_calling_thread_is_restored():
    with preserve_scheduling():
        make_real_time()
    assert os.sched_getscheduler(0) == NORMAL


def test_new_threads_get_the_policy_of_the_calling_thread():
    end = threading.Event()
    with preserve_scheduling():
        make_real_time()
        thread = threading.Thread(target=end.wait)
        thread.start()
    assert policies() == {NORMAL}
    end.set()
    thread.join()


def test_policy_is_restored_after_a_failure():
    with pytest.raises(ValueError, match="no encoder"), preserve_scheduling():
        make_real_time()
        raise ValueError("no encoder")
    assert os.sched_getscheduler(0) == NORMAL


def test_policy_that_was_set_before_is_kept():
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        with preserve_scheduling():
            make_real_time()
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
    finally:
        os.sched_setscheduler(0, NORMAL, os.sched_param(0))


def test_av1_encoder_does_not_change_the_policy(make_clip):
    seen = set()

    def network(rainy):
        seen.update(policies())
        return rainy

    restore(make_clip(frames=4), network=network, codec="libsvtav1")
    assert seen | policies() == {NORMAL}
