"""Keys from KMS: what it is asked, what is allowed to it, and what its errors mean. Without any KMS."""

from __future__ import annotations

import base64
import copy
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError

from langgraph_checkpoint_s3.encryption import KeyProvider, KeyRef, KmsKeys, kms_client
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    DecryptionError,
    InvalidConfigError,
    S3CheckpointError,
    StorageUnavailableError,
)
from tests.support.hanging import HANG
from tests.support.keys import secret

ARN = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
REPLICA = "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"
CONTEXT = {"purpose": "langgraph-checkpoint-s3"}


class FakeKms:
    """Wraps by writing the key's name before it."""

    def __init__(self, key: str = ARN) -> None:
        self.key = key
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None
        self.hook: Callable[[], None] = lambda: None
        self.plaintext: bytes | None = None
        self.closed = False

    def generate_data_key(self, **arguments: Any) -> dict[str, Any]:
        self._ask("generate_data_key", arguments)
        plaintext = secret(f"{len(self.asked)}")
        return {"KeyId": self.key, "Plaintext": plaintext, "CiphertextBlob": b"wrapped " + plaintext}

    def generate_data_key_without_plaintext(self, **arguments: Any) -> dict[str, Any]:
        self._ask("generate_data_key_without_plaintext", arguments)
        return {"KeyId": self.key, "CiphertextBlob": b"wrapped " + secret("names")}

    def decrypt(self, **arguments: Any) -> dict[str, Any]:
        self._ask("decrypt", arguments)
        plaintext = self.plaintext or arguments["CiphertextBlob"].removeprefix(b"wrapped ")
        return {"KeyId": self.key, "Plaintext": plaintext}

    def close(self) -> None:
        self.closed = True

    def _ask(self, operation: str, arguments: dict[str, Any]) -> None:
        self.asked.append((operation, arguments))
        self.hook()
        if self.error is not None:
            raise self.error


def refused(code: str, status: int = 400, operation: str = "Decrypt") -> ClientError:
    """An error as KMS answers it."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": "the reason"},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "request-1",
                "RetryAttempts": 2,
                "HTTPHeaders": {},
                "HostId": "",
            },
        },
        operation,
    )


@pytest.fixture
def kms() -> FakeKms:
    return FakeKms()


@pytest.fixture
def keys(kms: FakeKms) -> KmsKeys:
    return KmsKeys(ARN, client=kms)


def test_a_data_key_is_made_and_unwrapped(keys: KmsKeys, kms: FakeKms) -> None:
    assert isinstance(keys, KeyProvider)
    made = keys.current()
    assert made.ref == KeyRef(ARN, b"wrapped " + made.secret)
    assert keys.unlock(made.ref) == made.secret
    assert kms.asked == [
        ("generate_data_key", {"KeySpec": "AES_256", "KeyId": ARN, "EncryptionContext": CONTEXT}),
        ("decrypt", {"CiphertextBlob": made.ref.wrapped, "KeyId": ARN, "EncryptionContext": CONTEXT}),
    ]
    assert keys.current() != made  # who keeps it for how long is the saver's affair
    assert keys.cache_seconds == 300


@pytest.mark.parametrize(
    ("key_id", "also_read", "named", "asked"),
    [
        (ARN, [], ARN, ARN),
        (ARN.partition("key/")[2], [], ARN, ARN.partition("key/")[2]),
        (ARN, [OTHER], OTHER, OTHER),
        ("alias/agents", [], ARN, "alias/agents"),
        (REPLICA, [], REPLICA.replace("eu-west-1", "us-east-1"), REPLICA),
    ],
    ids=["the key", "by its id", "another one that may be read with", "an alias", "a replica"],
)
def test_what_is_asked_for_a_key(key_id: str, also_read: list[str], named: str, asked: str) -> None:
    kms = FakeKms(named)
    keys = KmsKeys(key_id, also_read=also_read, client=kms)
    assert keys.unlock(KeyRef(named, b"wrapped " + secret("k"))) == secret("k")
    assert kms.asked[0][1]["KeyId"] == asked


@pytest.mark.parametrize(
    ("ref", "why"),
    [
        (KeyRef(OTHER, b"wrapped"), r"isn't key_id \('arn.*add its ARN to also_read"),
        (KeyRef("arn:aws:kms:eu-west-1:999999999999:key/theirs", b"wrapped"), "isn't key_id"),
        (KeyRef("alias/agents", b"wrapped"), "isn't key_id"),
        (KeyRef("2026-11"), "isn't one of AWS KMS. Read it with its own provider"),
        (KeyRef(ARN, bytes(6_145)), "isn't one of AWS KMS"),
    ],
)
def test_what_nothing_is_sent_for(keys: KmsKeys, kms: FakeKms, ref: KeyRef, why: str) -> None:
    """Write access to the bucket doesn't let anyone choose the KMS key that is asked for."""
    with pytest.raises(DecryptionError, match=why) as caught:
        keys.unlock(ref)
    assert ref.id in str(caught.value)
    assert kms.asked == []


def test_an_answer_by_another_key_is_not_believed(keys: KmsKeys, kms: FakeKms) -> None:
    kms.key = OTHER
    with pytest.raises(DecryptionError, match="unwrapped the data key with"):
        keys.unlock(KeyRef(ARN, b"wrapped " + secret("k")))


def test_what_is_no_data_key(keys: KmsKeys, kms: FakeKms) -> None:
    kms.plaintext = b"short"
    with pytest.raises(DecryptionError, match="isn't a data key of 32 bytes"):
        keys.unlock(KeyRef(ARN, b"wrapped"))


ERRORS: dict[str, tuple[Exception, type[S3CheckpointError], str]] = {
    "no permission": (refused("AccessDeniedException"), AccessDeniedError, f"need kms:Decrypt on {ARN}"),
    "403": (refused("Other", 403), AccessDeniedError, "need kms:Decrypt"),
    "no such key": (refused("NotFoundException"), DecryptionError, "KMS knows no such key"),
    "disabled": (refused("DisabledException"), DecryptionError, "kms:EnableKey"),
    "going": (refused("KMSInvalidStateException"), DecryptionError, "kms:CancelKeyDeletion"),
    "damaged": (refused("InvalidCiphertextException"), DecryptionError, "another encryption_context"),
    "another": (refused("IncorrectKeyException"), DecryptionError, "add its ARN to also_read"),
    "clock": (refused("InvalidSignatureException"), AccessDeniedError, "AWS_SECRET_ACCESS_KEY"),
    "throttled": (refused("ThrottlingException"), StorageUnavailableError, "after 3 attempts"),
    "failing": (refused("KMSInternalException", 500), StorageUnavailableError, "after 3 attempts"),
    "away": (EndpointConnectionError(endpoint_url="https://kms"), StorageUnavailableError, "VPC endpoint"),
    "no credentials": (NoCredentialsError(), AccessDeniedError, "no usable AWS credentials"),
    "no region": (NoRegionError(), InvalidConfigError, "check the key, region"),
}


@pytest.mark.parametrize(("error", "kind", "why"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_to_do(
    keys: KmsKeys, kms: FakeKms, error: Exception, kind: type[S3CheckpointError], why: str
) -> None:
    kms.error = error
    with pytest.raises(kind, match=why) as caught:
        keys.unlock(KeyRef(ARN, b"wrapped " + secret("k")))
    assert ARN in str(caught.value) or kind is InvalidConfigError
    if isinstance(error, ClientError):
        assert list(caught.value.request_ids) == ["request-1"]


def test_a_key_that_can_not_write_is_a_setting(keys: KmsKeys, kms: FakeKms) -> None:
    kms.error = refused("NotFoundException", operation="GenerateDataKey")
    with pytest.raises(InvalidConfigError, match="KMS knows no such key"):
        keys.current()
    kms.error = refused("AccessDeniedException", operation="GenerateDataKey")
    with pytest.raises(AccessDeniedError, match="kms:GenerateDataKey") as caught:
        keys.current()
    assert caught.value.action == "kms:GenerateDataKey"


def test_other_errors_go_through(keys: KmsKeys, kms: FakeKms) -> None:
    kms.error = KeyError("a bug")
    with pytest.raises(KeyError):
        keys.current()


# Names


def test_a_names_key_is_made_once_and_unwrapped_once(kms: FakeKms) -> None:
    wrapped = KmsKeys(ARN, client=kms).new_names_key()
    for given in (wrapped, base64.b64encode(wrapped).decode()):
        keys = KmsKeys(ARN, client=kms, names_key=given)
        before = len(kms.asked)
        assert keys.names_key() == keys.names_key() == secret("names")
        assert len(kms.asked) == before + 1
    assert KmsKeys(ARN, client=kms).names_key() is None


def test_a_names_key_of_an_older_master_key(kms: FakeKms) -> None:
    def only_other() -> None:
        _, arguments = kms.asked[-1]
        kms.error = refused("IncorrectKeyException") if arguments["KeyId"] == ARN else None

    kms.hook = only_other
    keys = KmsKeys(ARN, also_read=[OTHER], client=kms, names_key=b"wrapped " + secret("names"))
    assert keys.names_key() == secret("names")
    assert [arguments["KeyId"] for _, arguments in kms.asked] == [ARN, OTHER]


# Threads and processes


class Flight(Future[Any]):
    """Tells how many threads wait for it."""

    waiting = threading.Semaphore(0)

    def result(self, timeout: float | None = None) -> Any:
        self.waiting.release()
        return super().result(timeout)


@pytest.fixture
def together(keys: KmsKeys, kms: FakeKms, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Has five threads ask for a key while the first one's request is on its way; what each of them got."""
    monkeypatch.setattr(kms_client, "Future", Flight)
    monkeypatch.setattr(Flight, "waiting", threading.Semaphore(0))
    first, go_on = threading.Event(), threading.Event()

    def ask() -> Any:
        try:
            return keys.current()
        except BaseException as error:  # noqa: BLE001  # Ctrl-C is among what is looked for
            return error

    def run(error: BaseException | None = None) -> list[Any]:
        def wait() -> None:
            if not first.is_set():
                first.set()
                assert go_on.wait(HANG)
                if error is not None:
                    raise error

        kms.hook = wait
        with ThreadPoolExecutor(5) as pool:
            begun = [pool.submit(ask)]
            assert first.wait(HANG)
            begun += [pool.submit(ask) for _ in range(4)]
            try:
                for _ in range(4):
                    assert Flight.waiting.acquire(timeout=HANG)
            finally:
                go_on.set()
            return [each.result(HANG) for each in begun]

    return run


def test_those_who_ask_at_once_share_one_request(together: Callable[..., list[Any]], kms: FakeKms) -> None:
    found = together()
    assert len({each.secret for each in found}) == 1
    assert len(kms.asked) == 1


def test_they_share_its_error_and_the_next_one_asks_again(
    together: Callable[..., list[Any]], keys: KmsKeys, kms: FakeKms
) -> None:
    found = together(refused("ThrottlingException", operation="GenerateDataKey"))
    assert [type(each) for each in found] == [StorageUnavailableError] * 5
    assert len(kms.asked) == 1
    assert keys.current().ref.id == ARN
    assert len(kms.asked) == 2


def test_an_interruption_is_for_the_thread_that_got_it(together: Callable[..., list[Any]]) -> None:
    """The others' wait isn't over: one of them asks instead."""
    interrupted, *others = together(KeyboardInterrupt())
    assert isinstance(interrupted, KeyboardInterrupt)
    assert [each.ref.id for each in others] == [ARN] * 4


def test_other_keys_do_not_wait_for_one(keys: KmsKeys, kms: FakeKms) -> None:
    def meanwhile() -> None:
        kms.hook = lambda: None
        with ThreadPoolExecutor(1) as pool:
            ref = KeyRef(ARN, b"wrapped " + secret("k"))
            assert pool.submit(keys.unlock, ref).result(HANG) == secret("k")

    kms.hook = meanwhile
    keys.current()
    assert [operation for operation, _ in kms.asked] == ["generate_data_key", "decrypt"]


def test_a_client_that_was_handed_in_stays_open(keys: KmsKeys, kms: FakeKms) -> None:
    keys.current()
    keys.close()
    assert not kms.closed
    keys.current()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it can't fork here")
def test_a_forked_process_makes_a_client_of_its_own() -> None:
    made: list[FakeKms] = []

    class Session:
        def client(self, name: str, **arguments: Any) -> FakeKms:
            assert name == "kms"
            assert arguments["region_name"] == "eu-west-1"
            made.append(FakeKms())
            return made[-1]

    keys = KmsKeys(ARN, session=Session())
    keys.current()
    keys.current()
    assert len(made) == 1
    keys._client._processes = {os.getpid() + 1: keys._client._processes[os.getpid()]}  # as after a fork
    keys.current()
    assert len(made) == 2
    keys.close()
    assert [each.closed for each in made] == [False, True]


# Settings


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"key_id": ""}, "key_id must be a KMS key's ARN"),
    "no text": ({"key_id": 7}, "key_id must be a KMS key's ARN"),
    "odd": ({"key_id": "a key"}, "key_id must be a KMS key's ARN"),
    "one text": ({"also_read": ARN}, "also_read must be a list"),
    "an alias": ({"also_read": ["alias/old"]}, "not by an alias"),
    "an alias's ARN": ({"also_read": [ARN.replace("key/", "alias/")]}, "not by an alias"),
    "two regions": ({"also_read": [OTHER.replace("eu-west-1", "us-east-1")]}, "must be of one region"),
    "another region": ({"region": "us-east-1"}, "must be of one region"),
    "no context": ({"encryption_context": {"a": 1}}, "a mapping of texts"),
    "seconds": ({"cache_seconds": -1}, "cache_seconds must be"),
    "not a number": ({"cache_seconds": float("nan")}, "cache_seconds must be"),
    "names": ({"names_key": "!"}, "names_key must be what new_names_key"),
    "long names": ({"names_key": bytes(7_000)}, "names_key must be what new_names_key"),
}


@pytest.mark.parametrize(("arguments", "why"), WRONG.values(), ids=WRONG)
def test_settings_that_can_not_be(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidConfigError, match=why):
        KmsKeys(**{"key_id": ARN, **arguments})


def test_no_secret_leaves_it(keys: KmsKeys) -> None:
    assert repr(keys) == f"KmsKeys('{ARN}')"
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(keys)
    assert copy.deepcopy(keys) is copy.copy(keys) is keys


def test_botocore_logs_no_data_key(kms: FakeKms, caplog: pytest.LogCaptureFixture) -> None:
    """The DEBUG lines of botocore's parser hold whole answers."""
    caplog.set_level(logging.DEBUG)
    kms.hook = lambda: logging.getLogger("botocore.parsers").debug("Response body: the data key")
    KmsKeys(ARN, client=kms).current()
    assert "the data key" not in caplog.text
    logging.getLogger("botocore.parsers").debug("another answer")
    assert "another answer" in caplog.text


def test_importing_touches_no_logger() -> None:
    code = (
        "import logging, langgraph_checkpoint_s3.encryption\n"
        "assert not logging.getLogger('botocore.parsers').filters"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=HANG)
