"""Nothing is left open, however a program ends."""

from __future__ import annotations

import pytest

from tests.contract.scripts import assert_clean, script, script_anew
from tests.contract.support import (
    Place,
)

ENDINGS = {
    "asyncio.run": """
        asyncio.run(use())
        asyncio.run(use())
    """,
    "async with": """
        async def main():
            async with saver:
                await use()
        asyncio.run(main())
    """,
    "an aclose of one's own": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.run_until_complete(saver.aclose())
        loop.close()
    """,
    "shutdown_asyncgens": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    """,
    "an error in the body": """
        async def main():
            await use()
            raise KeyError("mine")
        try:
            asyncio.run(main())
        except KeyError:
            pass
    """,
    "an error of the store's": """
        from langgraph_checkpoint_s3 import BucketNotFoundError, StorageUnavailableError
        async def main(**other):
            saver = S3Saver(**{"bucket": bucket, "endpoint_url": url, "max_attempts": 1, **other})
            try:
                await saver.aget_tuple(at())
            except (BucketNotFoundError, StorageUnavailableError):
                print("error")
        asyncio.run(main(bucket="there-is-none"))
        asyncio.run(main(endpoint_url="http://127.0.0.1:1"))
    """,
    "tasks that are still under way": """
        async def main():
            await use()
            tasks = [asyncio.ensure_future(use(f"{number}")) for number in range(5)]
            await asyncio.sleep(0.01)
        asyncio.run(main())
    """,
    "an iteration that is left": """
        async def main():
            await use()
            async for shown in saver.alist(at()):
                break
        asyncio.run(main())
    """,
    "a saver that is dropped": """
        async def main():
            global saver
            await use()
            del saver
            gc.collect()
            await asyncio.sleep(0.05)  # its end begins on this loop
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.01)
        asyncio.run(main())
    """,
    "blocking calls": """
        saver.put(at(), checkpoint(), metadata(), {})
        assert saver.get_tuple(at())
        assert list(saver.list(at()))
    """,
    "blocking calls and a close": """
        with saver:
            saver.put(at(), checkpoint(), metadata(), {})
            assert saver.get_tuple(at())
    """,
    "both, in threads": """
        import threading
        def work(number):
            saver.put(at(f"{number}"), checkpoint(), metadata(), {})
            asyncio.run(use(f"{number}"))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """,
    "without aiobotocore": """
        sys.modules["aiobotocore"] = None
        saver = S3Saver(bucket, endpoint_url=url)
        asyncio.run(use())
        assert "aiohttp" not in sys.modules
    """,
}


class TestNothingIsLeftBehind:
    """At the process's end, with development mode's warnings."""

    @pytest.mark.parametrize("how", ENDINGS)
    def test_after(self, place: Place, how: str) -> None:
        assert_clean(script(place, ENDINGS[how]))

    @pytest.mark.parametrize(
        "body",
        [
            "left = __import__('socket').create_server(('127.0.0.1', 0))",
            "left = asyncio.new_event_loop()",
            "import langgraph_checkpoint_s3.s3.store as module; module.left = asyncio.new_event_loop()",
            "asyncio.run(asyncio.sleep(0)); use()",
            "raise SystemExit(3)",
        ],
    )
    def test_what_is_left_would_be_noticed(self, place: Place, body: str) -> None:
        with pytest.raises(AssertionError):
            assert_clean(script(place, body))

    def test_a_loop_that_is_closed_the_old_way_says_so(self, place: Place) -> None:
        """Neither `aclose` nor `shutdown_asyncgens`: what asyncio itself can't tidy, aiohttp complains of.

        The results are right, and the saver goes on to work on other loops.
        """
        done = script_anew(
            place,
            """
            saver = S3Saver(bucket, endpoint_url=url, region="us-east-1", transport="sdk")
            for _ in range(2):
                loop = asyncio.new_event_loop()
                loop.run_until_complete(use())
                loop.close()
                gc.collect()
            asyncio.run(use())
            print("done")
            """,
            "-W",
            "default",
        )
        assert done.stdout == "done\n"
        assert done.returncode == 0
        assert "never retrieved" not in done.stderr
        assert done.stderr.count("Unclosed client session") == 2, done.stderr

    def test_importing_imports_no_client(self, place: Place) -> None:
        done = script(
            place,
            """
            heavy = {"boto3", "botocore.session", "aiobotocore", "aiohttp"} & set(sys.modules)
            assert not heavy, heavy
            """,
        )
        assert_clean(done)
