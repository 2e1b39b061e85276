"""Many loops, many threads, cancellation: one saver serves them all."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from langgraph_checkpoint_s3 import S3Saver
from tests.contract.front import Front, Park
from tests.contract.scripts import assert_clean, script
from tests.contract.support import (
    MIB,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    guarded,
    metadata,
    noise,
)
from tests.support import inside
from tests.support.hanging import HANG


def loops_of(saver: S3Saver) -> Any:
    """The clients of the event loops that use a saver."""
    store: Any = inside.store(saver)
    return (store._async_rest or store._aio)._loops


class TestLoops:
    def test_thirty_runs_on_one_saver(self, make_saver: MakeSaver) -> None:
        saver = make_saver()
        build_thread(saver, checkpoints=1)
        loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

        async def use() -> None:
            loops.append(weakref.ref(asyncio.get_running_loop()))
            assert await saver.aget_tuple(at())

        with blockbuster_ctx():
            for _ in range(30):
                asyncio.run(use())
        gc.collect()
        assert len([loop for loop in loops if loop() is not None]) == 0, "each loop leaks its client"

    def test_several_loops_and_blocking_calls_at_once(self, make_saver: MakeSaver) -> None:
        saver = make_saver()
        rounds = 5

        async def use(name: str) -> int:
            for number in range(rounds):
                config = await saver.aput(at(name), checkpoint({"number": number}), metadata(number), {})
                await asyncio.gather(
                    *(saver.aput_writes(config, [("a", task)], f"{task}") for task in range(3))
                )
                found = await saver.aget_tuple(at(name))
                assert found is not None
                assert len(found.pending_writes or ()) == 3
            return len([shown async for shown in saver.alist(at(name))])

        def block(name: str) -> int:
            build_thread(saver, name, checkpoints=rounds)
            return len(list(saver.list(at(name))))

        with ThreadPoolExecutor(8) as pool:
            loops = [pool.submit(asyncio.run, use(f"loop-{number}")) for number in range(4)]
            blocking = [pool.submit(block, f"blocking-{number}") for number in range(4)]
            assert [future.result() for future in loops + blocking] == [rounds] * 8

    def test_calls_inside_an_iteration(self, make_saver: MakeSaver) -> None:
        saver = make_saver(cache_bytes=0)
        configs = build_thread(saver, checkpoints=12, tasks=1)

        async def use() -> list[int]:
            steps = []
            async for shown in saver.alist(at()):
                inner = await saver.aget_tuple(shown.config)
                assert inner is not None
                steps.append(inner.metadata["step"])
                await saver.aput_writes(shown.config, [("late", 1)], "late")
                if len(steps) == 6:
                    await saver.aput(configs[-1], checkpoint(), metadata(99), {})
            return steps

        assert guarded(use()) == list(range(11, -1, -1))

        def blocking() -> list[int]:
            return [
                found.metadata["step"]
                for shown in saver.list(at())
                if (found := saver.get_tuple(shown.config)) is not None
            ]

        assert blocking() == [99, *range(11, -1, -1)]

    def test_an_iteration_that_is_left(self, make_saver: MakeSaver) -> None:
        saver = make_saver()
        build_thread(saver, checkpoints=3)

        async def use() -> None:
            async for _ in saver.alist(at()):
                break
            assert await saver.aget_tuple(at())

        guarded(use())
        for _ in saver.list(at()):
            break
        assert saver.get_tuple(at())

    def test_closing_and_going_on(self, make_saver: MakeSaver) -> None:
        async def use() -> None:
            async with make_saver() as saver:
                await saver.aput(at(), checkpoint(), metadata(), {})
                await saver.aclose()
                assert await saver.aget_tuple(at())
                await saver.aclose()
                await saver.aclose()
            assert await saver.aget_tuple(at())
            await saver.aclose()

        guarded(use())

    # Python says so of any asynchronous generator there.
    @pytest.mark.filterwarnings("ignore:asynchronous generator .* was scheduled after:ResourceWarning")
    def test_a_loop_that_goes_on_after_its_generators_ended(self, make_saver: MakeSaver) -> None:
        saver = make_saver()
        loop = asyncio.new_event_loop()
        try:
            for _ in range(2):
                loop.run_until_complete(saver.aput(at(), checkpoint(), metadata(), {}))
                loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def test_the_first_calls_at_once_make_one_client(self, make_saver: MakeSaver) -> None:
        saver = make_saver()

        async def use() -> int:
            await asyncio.gather(*(saver.aget_tuple(at(f"{number}")) for number in range(20)))
            return len(loops_of(saver)._holders)

        assert guarded(use()) == 1


class TestCancellation:
    @pytest.mark.parametrize("call", ["get", "list", "put"])
    def test_a_cancelled_call_leaves_the_saver_usable(
        self, make_saver: MakeSaver, front: Front, call: str
    ) -> None:
        saver = make_saver()
        build_thread(make_saver(), checkpoints=3)

        async def one() -> None:
            if call == "get":
                await saver.aget_tuple(at())
            elif call == "list":
                assert [shown async for shown in saver.alist(at())]
            else:
                await saver.aput(at("other"), checkpoint(), metadata(), {})

        answers = threading.Event()

        async def use() -> None:
            for delay in (0.0, 0.01, 0.05, 0.1):
                front.fail("*", Park(answers), times=2)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(one(), delay)
            front.reset()
            answers.set()
            await one()
            pending = asyncio.all_tasks() - {asyncio.current_task()}
            assert not [task for task in pending if "_asend" in repr(task)]

        guarded(use())

    def test_a_cancelled_upload_is_aborted(self, make_saver: MakeSaver, place: Place) -> None:
        saver = make_saver(multipart_part_size=5 * MIB)
        answers = threading.Event()
        place.front.fail("UploadPart", Park(answers), times=2)

        async def use() -> None:
            big = checkpoint({"raw": noise(16 * MIB)})
            upload = asyncio.ensure_future(saver.aput(at(), big, metadata(), {}))
            while place.front.counts().get("UploadPart", 0) < 3:  # noqa: ASYNC110  # seen by another thread
                await asyncio.sleep(0.01)
            upload.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upload
            assert upload.cancelled()

        asyncio.run(use())
        answers.set()
        assert place.front.counts()["AbortMultipartUpload"] == 1
        assert place.uploads() == []
        assert place.listing() == []

    def test_ctrl_c_during_a_blocking_upload_aborts_it(self, place: Place) -> None:
        done = script(
            place,
            """
            import _thread, signal, threading, time
            from tests.contract.support import noise
            signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
            sizes = {"multipart_threshold": 5 * 1024**2, "multipart_part_size": 5 * 1024**2}
            saver = S3Saver(bucket, endpoint_url=url, region="us-east-1", **sizes)
            real = inside.store(saver)._send
            def send(request, *more):
                if type(request).__name__ == "UploadPart" and request.number == 1:
                    _thread.interrupt_main()
                    time.sleep(0.2)
                return real(request, *more)
            inside.store(saver)._send = send
            try:
                saver.put(at(), checkpoint({"raw": noise(11 * 1024**2)}), metadata(), {})
            except KeyboardInterrupt:
                print("interrupted")
            """,
        )
        assert_clean(done)
        assert done.stdout == "interrupted\n"
        assert place.front.counts()["AbortMultipartUpload"] == 1
        assert place.uploads() == []
        assert place.listing() == []

    def test_a_cancelled_first_use(self, make_saver: MakeSaver) -> None:
        """The client is being made in a thread when its caller goes away."""
        saver = make_saver()
        begun: SimpleQueue[threading.Event] = SimpleQueue()
        clients = loops_of(saver)
        make = clients._make

        def slowly() -> Any:
            go_on = threading.Event()
            begun.put(go_on)
            assert go_on.wait(HANG)
            return make()

        clients._make = slowly

        async def next_one() -> threading.Event:
            return await asyncio.to_thread(begun.get, timeout=HANG)

        async def use() -> None:
            for _ in range(3):
                task = asyncio.ensure_future(saver.aget_tuple(at()))
                go_on = await next_one()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                go_on.set()
            first, second = (asyncio.ensure_future(saver.aget_tuple(at())) for _ in range(2))
            go_on = await next_one()
            first.cancel()
            go_on.set()
            (await next_one()).set()
            assert await second is None

        guarded(use())


class TestManyThreads:
    def test_sixty_four(self, make_saver: MakeSaver, caplog: pytest.LogCaptureFixture) -> None:
        saver = make_saver()
        start = threading.Barrier(64)

        def work(number: int) -> None:
            start.wait(HANG)
            config = saver.put(at(f"{number}"), checkpoint({"number": number}), metadata(), {})
            saver.put_writes(config, [("a", number)], "task")
            found = saver.get_tuple(at(f"{number}"))
            assert found is not None
            assert found.checkpoint["channel_values"] == {"number": number}
            assert found.pending_writes == [("task", "a", number)]

        with ThreadPoolExecutor(64) as pool:
            for future in [pool.submit(work, number) for number in range(64)]:
                future.result()
        assert not [record for record in caplog.records if "Connection pool is full" in record.getMessage()]

    def test_sixty_four_tasks(self, make_saver: MakeSaver, caplog: pytest.LogCaptureFixture) -> None:
        saver = make_saver()

        async def work(number: int) -> None:
            config = await saver.aput(at(f"{number}"), checkpoint({"number": number}), metadata(), {})
            await saver.aput_writes(config, [("a", number)], "task")
            found = await saver.aget_tuple(at(f"{number}"))
            assert found is not None
            assert found.pending_writes == [("task", "a", number)]

        async def use() -> None:
            await asyncio.gather(*(work(number) for number in range(64)))

        guarded(use())
        # werkzeug is the server: a request that an earlier test cancelled may fail there now.
        assert not [each for each in caplog.records if each.levelno >= 30 and each.name != "werkzeug"]

    def test_closing_while_others_work(self, make_saver: MakeSaver) -> None:
        """Operations under way continue, since a closed saver opens new connections."""
        saver = make_saver(cache_bytes=0)
        build_thread(saver, checkpoints=1, tasks=3)
        stop = threading.Event()

        def work() -> int:
            done = 0
            while not stop.is_set():
                assert saver.get_tuple(at())
                done += 1
            return done

        with ThreadPoolExecutor(4) as pool:
            workers = [pool.submit(work) for _ in range(4)]
            try:
                for _ in range(20):
                    threading.Event().wait(0.02)
                    saver.close()
            finally:
                stop.set()
            assert all(worker.result() for worker in workers)
