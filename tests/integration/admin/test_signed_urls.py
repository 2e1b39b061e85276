"""Signed URLs on servers that check them: expired and changed ones are refused."""

from __future__ import annotations

import re
import time
import urllib.error
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, NotSupportedError
from langgraph_checkpoint_s3.admin.signed_urls.download import load_signed_url
from langgraph_checkpoint_s3.admin.transfer.dumps import dumps
from tests.contract.admin.test_signed_urls import (
    TestHandingIn,
    TestSignedUrls,
    borrower,
    fetch,
    hand_in,
    id_of,
)
from tests.contract.support import MakeCalls, MakeSaver, Place, build_thread
from tests.servers import Server
from tests.support.checkpoints import shown

__all__ = ["TestHandingIn", "TestSignedUrls"]


TAMPERED: dict[str, Callable[[str, str], str]] = {
    "another key": lambda url, other: url.replace(urlsplit(url).path, urlsplit(other).path),
    "another signature": lambda url, _: url[:-1] + ("0" if url[-1] != "0" else "1"),
    "a longer life": lambda url, _: re.sub(r"X-Amz-Expires=\d+", "X-Amz-Expires=604800", url),
    "another date": lambda url, _: re.sub(r"X-Amz-Date=\d{4}", "X-Amz-Date=2001", url),
    "no signature": lambda url, _: re.sub(r"&X-Amz-Signature=.*", "", url),
}


@pytest.fixture
def checks(s3_server: Server) -> None:
    if not s3_server.features.presigned_signature:
        pytest.skip("it checks no signatures")


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize("how", TAMPERED)
def test_changed_urls_are_refused(how: str, make_admin: MakeCalls, make_saver: MakeSaver) -> None:
    saver, admin = make_saver(), make_admin()
    config = borrower(saver)
    [other] = build_thread(saver, "other", checkpoints=1, tasks=0)
    url = admin.signed_url("borrows", id_of(config))
    tampered = TAMPERED[how](url, admin.signed_url("other", id_of(other)))
    assert tampered != url
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(tampered)
    refused.value.close()
    assert refused.value.code in (400, 401, 403)
    with pytest.raises(AccessDeniedError, match=r"was changed|isn't valid|has expired") as raised:
        load_signed_url(tampered)
    assert url.rpartition("=")[2] not in str(raised.value)
    assert shown(load_signed_url(url)) == shown(saver.get_tuple(config))


def test_expired_urls_are_refused(make_admin: MakeCalls, make_saver: MakeSaver, place: Place) -> None:
    if not place.server.features.presigned_expiry:
        pytest.skip("it never ends a signed URL")
    saver, admin = make_saver(), make_admin()
    config = borrower(saver)
    found = saver.get_tuple(config)
    assert found is not None
    url = admin.signed_url("borrows", id_of(config), timedelta(seconds=1))
    upload = admin.signed_upload_url("borrows", timedelta(seconds=1))
    time.sleep(2.5)
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(url)
    refused.value.close()
    with pytest.raises(AccessDeniedError, match="has expired"):
        load_signed_url(url)
    with pytest.raises(urllib.error.HTTPError) as refused:
        hand_in(upload.url, dumps(found))
    refused.value.close()
    assert upload.key not in place.listing()


@pytest.mark.usefixtures("checks")
def test_a_url_to_read_isnt_one_to_write(make_admin: MakeCalls, make_saver: MakeSaver, place: Place) -> None:
    admin = make_admin()
    url = admin.signed_url("borrows", id_of(borrower(make_saver())))
    upload = admin.signed_upload_url("borrows")
    before = place.objects()
    with pytest.raises(urllib.error.HTTPError) as refused:
        hand_in(url, b"x")
    refused.value.close()
    hand_in(upload.url, b"x")
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(upload.url)
    refused.value.close()
    assert {key: etag for key, etag in place.objects().items() if key != upload.key} == before


@pytest.mark.usefixtures("checks")
def test_a_url_of_a_requester_pays_bucket(make_admin: MakeCalls, make_saver: MakeSaver) -> None:
    saver = make_saver()
    config = borrower(saver)
    url = make_admin(requester_pays=True).signed_url("borrows", id_of(config))
    assert "x-amz-request-payer=requester" in url
    assert shown(load_signed_url(url)) == shown(saver.get_tuple(config))


def test_exports_have_a_rule_of_their_own(make_admin: MakeCalls, make_saver: MakeSaver, place: Place) -> None:
    admin: Any = make_admin()
    if not place.server.features.lifecycle:
        with pytest.raises(NotSupportedError):
            admin.set_exports_expiry()
        return
    foreign: Any = {
        "ID": "theirs",
        "Filter": {"Prefix": "logs/"},
        "Status": "Enabled",
        "Expiration": {"Days": 3},
    }
    place.client.put_bucket_lifecycle_configuration(
        Bucket=place.bucket, LifecycleConfiguration={"Rules": [foreign]}
    )

    def rules() -> dict[str, Any]:
        found: Any = place.client.get_bucket_lifecycle_configuration(Bucket=place.bucket)
        return {rule["ID"]: rule for rule in found["Rules"]}

    before = rules()
    assert len(admin.set_exports_expiry()) == 1
    assert admin.set_exports_expiry() == []
    [name] = rules().keys() - {"theirs"}
    assert rules()["theirs"] == before["theirs"]
    assert rules()[name]["Expiration"]["Days"] == 8
    assert len(admin.set_exports_expiry(None)) == 1
    assert rules() == before
