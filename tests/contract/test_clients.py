"""Clients and sessions handed in, closing, and processes that fork."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from langgraph_checkpoint_s3 import AccessDeniedError, S3Saver, StorageUnavailableError
from tests.contract.front import Answer, Front
from tests.contract.scripts import ROOT, assert_clean, script
from tests.contract.support import Calls, MakeSaver, Place, at, build_thread, checkpoint, guarded, metadata
from tests.support import inside
from tests.support.hanging import HANG
from tests.support.pauses import shorten_pauses

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PATH_STYLE = Config(s3={"addressing_style": "path"}, response_checksum_validation="when_required")


def session_for(place: Place) -> boto3.session.Session:
    """A session that knows its own keys."""
    return boto3.session.Session(
        aws_access_key_id=place.server.access_key,
        aws_secret_access_key=place.server.secret_key,
        region_name=place.server.region,
    )


def agents(front: Front) -> set[str]:
    return {seen.headers["user-agent"].rpartition(" ")[2] for seen in front.log}


def use(calls: Calls) -> None:
    config = calls.put(at(), checkpoint(), metadata(), {})
    calls.put_writes(config, [("a", 1)], "task")
    assert calls.get_tuple(at()).pending_writes == [("task", "a", 1)]
    assert len(calls.list(at())) == 1
    inside.shared(calls.saver).cache.clear()
    assert calls.get_tuple(at())
    calls.delete_thread("thread")


@pytest.mark.usefixtures("no_credentials")
class TestHandedIn:
    @pytest.fixture
    def no_credentials(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only what is handed in knows any."""
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    @pytest.fixture
    def client(self, place: Place) -> Iterator[S3Client]:
        """A client of the user's own, with an agent's name to know it by."""
        made = session_for(place).client(
            "s3", endpoint_url=place.front.url, config=PATH_STYLE.merge(Config(user_agent_extra="the-users"))
        )
        yield made
        made.close()

    def test_a_client_serves_both_and_stays_open(self, place: Place, client: S3Client) -> None:
        with S3Saver(place.bucket, client=client) as saver:
            for asynchronous in (False, True):
                with Calls(saver, asynchronous=asynchronous) as calls:
                    use(calls)
            asyncio.run(saver.aclose())
        assert agents(place.front) == {"the-users"}
        assert "Contents" not in client.list_objects_v2(Bucket=place.bucket)  # the user's, still open
        use(Calls(saver, asynchronous=False))

    def test_a_clients_events_are_left_alone(self, place: Place, client: S3Client) -> None:
        saver = S3Saver(place.bucket, client=client)
        saver.put(at(), checkpoint(), metadata(), {})
        [seen] = place.front.log
        assert seen.headers.get("expect") == "100-continue"  # as botocore has it: this client isn't ours

    def test_a_session_serves_both(self, place: Place, make_saver: MakeSaver) -> None:
        session = session_for(place)
        saver = make_saver(session=session)
        for asynchronous in (False, True):
            with Calls(saver, asynchronous=asynchronous) as calls:
                use(calls)
        assert all("langgraph-checkpoint-s3/" in agent for agent in agents(place.front))
        saver.close()
        use(Calls(saver, asynchronous=False))

    @pytest.mark.parametrize("together", [False, True])
    def test_an_aio_session_serves_the_coroutines(
        self, place: Place, client: S3Client, make_saver: MakeSaver, together: bool
    ) -> None:
        from aiobotocore.session import AioSession

        session: Any = AioSession()
        session.set_credentials(place.server.access_key, place.server.secret_key)
        saver = make_saver(aio_session=session, **({"client": client} if together else {}))
        with Calls(saver, asynchronous=True) as calls:
            use(calls)
        assert "the-users" not in agents(place.front)
        if together:
            use(Calls(saver, asynchronous=False))
            assert "the-users" in agents(place.front)
        else:
            with pytest.raises(AccessDeniedError, match="AWS_ACCESS_KEY_ID"):
                saver.get_tuple(at())

    def test_a_users_client_alone_retries_by_itself(
        self, place: Place, client: S3Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The saver sends the requests of an aio_session again, with its own number of attempts."""
        shorten_pauses(monkeypatch)
        from aiobotocore.session import AioSession

        session: Any = AioSession()
        session.set_credentials(place.server.access_key, place.server.secret_key)
        arguments = place.arguments(max_attempts=2)
        with S3Saver(**arguments, client=client, aio_session=session) as saver:
            place.front.fail("PutObject", Answer(503, "SlowDown"))
            with Calls(saver, asynchronous=True) as calls:
                calls.put(at(), checkpoint(), metadata(), {})
            assert saver.stats().retries == 1
            place.front.reset()
            place.front.fail("PutObject", Answer(503, "SlowDown"), times=100)
            with pytest.raises(StorageUnavailableError) as caught:
                saver.put(at(), checkpoint(), metadata(), {})
        assert caught.value.attempts == len(place.front.log) > 2

    def test_an_aio_session_on_many_loops(self, place: Place, make_saver: MakeSaver) -> None:
        from aiobotocore.session import AioSession

        session: Any = AioSession()
        session.set_credentials(place.server.access_key, place.server.secret_key)
        saver = make_saver(aio_session=session)
        for _ in range(3):
            guarded(saver.aput(at(), checkpoint(), metadata(), {}))

    def test_an_aio_session_finds_its_credentials_without_blocking(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in (
            ("ACCESS_KEY_ID", place.server.access_key),
            ("SECRET_ACCESS_KEY", place.server.secret_key),
        ):
            monkeypatch.setenv(f"AWS_{name}", value)
        assert_clean(
            script(
                place,
                """
                from aiobotocore.session import AioSession
                saver = S3Saver(bucket, endpoint_url=url, region="us-east-1", aio_session=AioSession())
                with blockbuster_ctx():
                    asyncio.run(use())
                """,
            )
        )


class TestClosing:
    def test_a_saver_opens_again(self, make_saver: MakeSaver) -> None:
        with make_saver(cache_bytes=0) as saver:
            build_thread(saver)
        assert saver.get_tuple(at())
        saver.close()
        saver.close()
        assert len(list(saver.list(at()))) == 3

    def test_aclose_closes_the_blocking_client_too(self, make_saver: MakeSaver) -> None:
        saver = make_saver(cache_bytes=0, transport="sdk")
        build_thread(saver)
        assert inside.store(saver)._boto._made is not None

        async def main() -> None:
            async with saver as entered:
                assert entered is saver
                assert await saver.aget_tuple(at())

        guarded(main())
        assert inside.store(saver)._boto._made is None
        assert saver.get_tuple(at())

    def test_a_saver_that_was_never_used_closes(self, make_saver: MakeSaver, front: Front) -> None:
        make_saver().close()
        asyncio.run(make_saver().aclose())
        assert front.log == []

    def test_closing_inside_an_iteration(self, make_saver: MakeSaver) -> None:
        saver = make_saver(cache_bytes=0)
        build_thread(saver, checkpoints=20, tasks=0)
        steps = []
        for shown in saver.list(at()):
            steps.append(shown.metadata["step"])
            saver.close()
        assert steps == list(range(19, -1, -1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
class TestForks:
    def test_a_child_uses_the_saver(self, place: Place) -> None:
        """After blocking and asyncio use in the parent; both at work at once afterwards."""
        done = script(
            place,
            """
            import os, warnings
            warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of threads and fork
            asyncio.run(use())
            saver.put(at("parent"), checkpoint(), metadata(), {})
            assert list(saver.list(None))
            inside.shared(saver).cache.clear()
            children = []
            for number in range(3):
                pid = os.fork()
                if not pid:
                    code = 1
                    try:
                        assert saver.get_tuple(at("parent"))
                        for step in range(5):
                            config = saver.put(at(f"child-{number}"), checkpoint(), metadata(step), {})
                            saver.put_writes(config, [("a", number)], "task")
                        assert len(list(saver.list(at(f"child-{number}")))) == 5
                        asyncio.run(use(f"child-{number}-async"))
                        saver.close()
                        code = 0
                    except BaseException as error:
                        print(repr(error), file=sys.stderr)
                    finally:
                        sys.stderr.flush()
                        os._exit(code)
                children.append(pid)
            for step in range(5):
                saver.put(at("parent"), checkpoint(), metadata(step), {})
                assert saver.get_tuple(at("parent"))
            for pid in children:
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            asyncio.run(use("after"))
            assert len(list(saver.list(at("parent")))) == 6
            """,
        )
        assert_clean(done)

    def test_a_server_that_loads_before_it_forks(self, place: Place, tmp_path: Any) -> None:
        """As gunicorn --preload and Celery do: the saver is made (and set up) once, the workers share it."""
        program = tmp_path / "preload.py"
        program.write_text(
            "import asyncio, multiprocessing, sys\n"
            "from langgraph_checkpoint_s3 import S3Saver\n"
            "from tests.contract.support import at, checkpoint, metadata\n"
            "saver = S3Saver(sys.argv[1], endpoint_url=sys.argv[2], region='us-east-1')\n"
            "def work(number):\n"
            "    config = saver.put(at(f'{number}'), checkpoint(), metadata(), {})\n"
            "    found = asyncio.run(saver.aget_tuple(at(f'{number}')))\n"
            "    return found.config == config\n"
            "if __name__ == '__main__':\n"
            "    saver.setup()\n"
            "    with multiprocessing.get_context('fork').Pool(3) as pool:\n"
            "        assert all(pool.map(work, range(12)))\n"
            "        pool.close()\n"
            "        pool.join()\n"
            "    print('done')\n"
        )
        done = subprocess.run(
            [sys.executable, str(program), place.bucket, place.front.url],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
        assert "Traceback" not in done.stderr
        assert len(place.listing()) == 12
