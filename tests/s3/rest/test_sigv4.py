"""Signatures: AWS's published examples, and whatever botocore signs."""

from __future__ import annotations

import calendar
import hmac
import re
import time
from hashlib import sha256
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.s3.rest.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, Credentials, Signer

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = {"host": "examplebucket.s3.amazonaws.com"}
DAY = 1369353600
"""20130524T000000Z."""


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "signature"),
    [
        (
            "GET",
            "/test.txt",
            "",
            {"range": "bytes=0-9"},
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            "",
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/",
            "lifecycle=",
            {},
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/",
            "max-keys=2&prefix=J",
            {},
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
    ids=["get", "put", "lifecycle", "list"],
)
def test_published_examples(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, signature: str
) -> None:
    added = Signer("us-east-1").sign(
        EXAMPLE, method, path, query, {**HOST, **headers}, sha256(body).hexdigest(), DAY
    )
    names = sorted([*HOST, *headers, "x-amz-content-sha256", "x-amz-date"])
    assert added == {
        "x-amz-content-sha256": sha256(body).hexdigest(),
        "x-amz-date": "20130524T000000Z",
        "authorization": "AWS4-HMAC-SHA256 "
        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={';'.join(names)},Signature={signature}",
    }


def signature_of(authorization: str) -> tuple[str, list[str], str]:
    """The scope, the names of signed headers, and the signature."""
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\S+?), ?SignedHeaders=(\S+?), ?Signature=([0-9a-f]{64})", authorization
    )
    assert found is not None, authorization
    return found[1], found[2].split(";"), found[3]


def by_botocore(
    credentials: Credentials,
    region: str,
    method: str,
    url: str,
    headers: dict[str, str],
    payload_hash: str,
    moment: str,
) -> tuple[str, list[str], str]:
    """What botocore's signer makes of a request."""
    request: Any = AWSRequest(method=method, url=url, headers=headers)
    request.context["timestamp"] = moment
    auth: Any = S3SigV4Auth(BotoCredentials(*credentials), "s3", region)
    if credentials.token:
        request.headers["X-Amz-Security-Token"] = credentials.token
    request.headers["X-Amz-Date"] = moment
    request.headers["X-Amz-Content-SHA256"] = payload_hash
    with patch.object(auth, "payload", lambda _: payload_hash):
        canonical = auth.canonical_request(request)
        text = auth.string_to_sign(request, canonical)
        signature = auth.signature(text, request)
    names = auth.signed_headers(auth.headers_to_sign(request)).split(";")
    return auth.scope(request), names, signature


NAMES = st.from_regex(r"x-amz-[a-z][a-z0-9-]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30).map(str.strip)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"]),
    key=TEXTS,
    query=st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=4),
    headers=st.dictionaries(NAMES, VALUES.filter(bool), max_size=4),
    payload_hash=st.sampled_from([EMPTY_SHA256, UNSIGNED_PAYLOAD, sha256(b"x").hexdigest()]),
    token=st.none() | st.from_regex(r"[A-Za-z0-9+/]{1,40}={0,2}", fullmatch=True),
    region=st.sampled_from(["us-east-1", "eu-central-1", "x"]),
    seconds=st.integers(min_value=0, max_value=4_000_000_000),
)
def test_signatures_are_botocores(
    method: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    payload_hash: str,
    token: str | None,
    region: str,
    seconds: int,
) -> None:
    credentials = Credentials("key", "secret", token)
    path = f"/bucket/{quote(key, '/-._~')}"
    pairs = sorted((quote(name, "-._~"), quote(value, "-._~")) for name, value in query.items())
    text = "&".join(f"{name}={value}" for name, value in pairs)
    added = Signer(region).sign(
        credentials, method, path, text, {"host": "store:9000", **headers}, payload_hash, seconds
    )
    scope, names, signature = signature_of(added["authorization"])
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    assert added["x-amz-date"] == moment
    assert added.get("x-amz-security-token") == token
    url = f"http://store:9000{path}{'?' if text else ''}{text}"
    expected = by_botocore(
        credentials, region, method, url, {**headers, "host": "store:9000"}, payload_hash, moment
    )
    assert (scope, names, signature) == expected


def test_a_key_is_kept_for_a_day_and_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    digest = hmac.digest

    def count(key: Any, message: Any, name: str) -> Any:
        made.append(message)
        return digest(key, message, name)

    monkeypatch.setattr(hmac, "digest", count)
    signer = Signer("us-east-1")

    def signature(secret: str, seconds: float) -> tuple[str, int]:
        made.clear()
        added = signer.sign(Credentials("key", secret), "GET", "/", "", HOST, EMPTY_SHA256, seconds)
        return added["authorization"], len(made)

    def fresh(secret: str, seconds: float) -> str:
        added = Signer("us-east-1").sign(
            Credentials("key", secret), "GET", "/", "", HOST, EMPTY_SHA256, seconds
        )
        return added["authorization"]

    last = calendar.timegm((2024, 2, 29, 23, 59, 59))
    for secret, seconds, hashes in [
        ("secret", last - 86399, 5),
        ("secret", last, 1),
        ("secret", last + 0.9, 1),
        ("secret", last + 1, 5),
        ("other", last + 1, 5),
        ("secret", last + 1, 5),
        ("secret", last, 5),
    ]:
        assert signature(secret, seconds) == (fresh(secret, seconds), hashes)
