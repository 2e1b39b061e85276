"""Processes that fork while threads of theirs use the saver: the children use it too, and come to an end."""

from __future__ import annotations

import os

import pytest

from tests.contract.scripts import assert_clean, script
from tests.contract.support import Place

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

BUSY = """
    import faulthandler, os, threading, time, warnings
    from tests.support.hanging import HANG
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of threads and fork

    CHILDREN, THREADS = 20, 8
    saver = S3Saver(bucket, endpoint_url=url, region="us-east-1", compression="zstd", hedged_reads=0.05, )
    values = {"text": "a few words " * 40, "list": [str(each) for each in range(300)]}

    def turn(name, step=0):
        config = saver.put(at(name), checkpoint(values), metadata(step), {})
        saver.put_writes(config, [("a", step)], "task")
        found = saver.get_tuple(at(name))
        assert found.pending_writes == [("task", "a", step)]
        assert found.checkpoint["channel_values"] == values
        assert list(saver.list(at(name), limit=5))

    ended, errors = threading.Event(), []

    def work(name):
        step = 0
        try:
            while not ended.is_set():
                turn(name, step)
                step += 1
        except BaseException as error:
            errors.append(error)

    with S3Saver(bucket, endpoint_url=url, region="us-east-1", compression="none") as other:
        list(other.list(at("nothing")))  # so that all is imported
    threads = [threading.Thread(target=work, args=(f"busy-{number}",)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    left = []
    for number in range(CHILDREN):
        time.sleep(0.01)
        pid = os.fork()
        if not pid:
            code = 1
            faulthandler.dump_traceback_later(HANG / 2, exit=True)
            try:
                turn(f"child-{number}")
                if not number:
                    asyncio.run(use("asyncio in a child"))
                code = 0
            except BaseException as error:
                print(repr(error), file=sys.stderr)
            finally:
                sys.stderr.flush()
                os._exit(code)
        left.append(pid)
    ended.set()
    for thread in threads:
        thread.join()
    assert not errors, errors
    for pid in left:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    turn("after")
    saver.close()
"""


def test_children_of_a_busy_process_use_the_saver(place: Place) -> None:
    assert_clean(script(place, BUSY))


COLD = """
    import os, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)

    def turn(name):
        saver.put(at(name), checkpoint(), metadata(), {})
        assert saver.get_tuple(at(name))

    threads = [threading.Thread(target=turn, args=(f"thread-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    left = []
    for number in range(3):
        pid = os.fork()
        if not pid:
            try:
                turn(f"child-{number}")
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        left.append(pid)
    for pid in left:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for thread in threads:
        thread.join()
    saver.close()
"""


def test_a_fork_waits_for_a_client_that_is_being_made(place: Place) -> None:
    """It is being imported, too, and a child couldn't import what another thread was just importing."""
    assert_clean(script(place, COLD))
