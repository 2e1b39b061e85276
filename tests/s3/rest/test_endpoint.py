"""Endpoints of buckets, compared with where a botocore client sends a request, and how it signs it."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.session import Session

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.s3.rest import endpoint as module
from langgraph_checkpoint_s3.s3.rest.endpoint import Endpoint, NeedsSdk, redirected, resolve
from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings, read_settings
from langgraph_checkpoint_s3.s3.sync_client import client_arguments, model_loader
from tests.support.sampling import combined, sample
from tests.support.surroundings import surroundings

__all__ = ["surroundings"]
pytestmark = pytest.mark.usefixtures("surroundings")

POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/reads"
OBJECT_LAMBDA = "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/changed"
OUTPOST = "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-01234567890123456/accesspoint/near"
MULTI = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
OUTPOST_ALIAS = "near-accessp-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3"
_SCOPE = re.compile(r"Credential=key/\d{8}/([^/]+)/([^/]+)/aws4_request")


@functools.cache
def regions() -> list[str]:
    """All regions of all partitions."""
    return [
        name
        for partition in model_loader().load_data("partitions")["partitions"]
        for name in partition["regions"]
    ]


def by_botocore(config: S3Config) -> Endpoint:
    """The endpoint that a client made with the same settings sends a GET to."""
    sent: list[Any] = []

    def keep(request: Any, **_: Any) -> Any:
        sent.append(request)
        response: Any = AWSResponse(request.url, 200, HTTPHeaders(), None)
        response._content = b""
        return response

    session = Session()
    session.register_component("data_loader", model_loader())
    arguments = client_arguments(config, "agent")
    # botocore's default for us-east-1 is the global host.
    arguments["config"]["s3"]["us_east_1_regional_endpoint"] = "regional"
    arguments["config"] = Config(**arguments["config"])
    region = arguments.pop("region_name") or os.environ.get("AWS_REGION")
    region = region or session.get_config_variable("region") or "us-east-1"
    client: Any = session.create_client("s3", region, **arguments)
    client.meta.events.register("before-send.s3", keep)
    client.head_object(Bucket=config.bucket, Key="a/b")
    [request] = sent
    url = urlsplit(request.url)
    scope = _SCOPE.search(request.headers["Authorization"].decode())
    assert scope is not None
    host, default = url.hostname or "", {"http": 80, "https": 443}[url.scheme]
    shown = f"[{host}]" if ":" in host else host
    port = url.port or default
    return Endpoint(
        url.scheme,
        host,
        port,
        shown if port == default else f"{shown}:{port}",
        url.path.removesuffix("/a/b"),
        scope[1],
        scope[2],
    )


def found(config: S3Config) -> Endpoint:
    return resolve(config, read_settings(config))


def is_direct(config: S3Config, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether botocore's rules aren't needed."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "_by_rules", lambda *_: None)
        return resolve(config, read_settings(config)) is not None


@pytest.mark.parametrize(
    ("force_path_style", "region"),
    [*((None, region) for region in regions()), *((True, region) for region in sample(regions(), 10))],
)
def test_every_region(region: str, force_path_style: bool | None) -> None:
    config = S3Config(bucket="my-bucket", region=region, force_path_style=force_path_style)
    assert found(config) == by_botocore(config)


def test_regions_of_the_largest_partition_need_no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    [largest] = [each for each in model_loader().load_data("partitions")["partitions"] if each["id"] == "aws"]
    direct = {
        region for region in regions() if is_direct(S3Config(bucket="bucket", region=region), monkeypatch)
    }
    assert direct == set(largest["regions"]) - {"aws-global"}


DIRECT: list[dict[str, Any]] = [
    {"bucket": "bucket"},
    {"bucket": "reads-0123456789-s3alias"},
    {"bucket": "a1-" * 20 + "b"},
    {"force_path_style": True},
    {"force_path_style": False},
    *(
        {"endpoint_url": url, "force_path_style": style}
        for url in (
            "http://localhost:9000",
            "https://store.example.org",
            "https://STORE.example.org:443",
            "http://store.example.org:80/",
            "http://store.example.org:443",
            "https://store.example.org:9443/below/this",
            "https://store.example.org/below/this/",
            "http://127.0.0.1:9000",
            "http://127.0.0.1:9000/below",
            "http://[::1]:9000",
            "https://[fe80::A]/below",
            "https://s3.eu-west-1.amazonaws.com",
            "https://minio",
        )
        for style in (None, True, False)
    ),
    *(
        {"endpoint_url": f"https://store.example.org{path}", "force_path_style": True}
        for path in ("//", "/a//b", "/a/./b/../c", "/../a", "/a%20b", "/a~b", "/a/b//")
    ),
    *(
        {"endpoint_url": f"https://store.example.org{path}", "force_path_style": False}
        for path in ("//", "/a//b", "/a%20b", "/a~b/")
    ),
    {"endpoint_url": "http://localhost:9000", "bucket": "My_Bucket.x"},
    {"endpoint_url": "http://localhost:9000", "region": "us-gov-west-1"},
    {"endpoint_url": "http://localhost:9000", "region": "garage"},
]
RULES: list[dict[str, Any]] = [
    {"bucket": "with.dots"},
    {"bucket": "with.dots", "force_path_style": True},
    {"use_accelerate": True},
    {"use_accelerate": True, "region": "us-east-1"},
    {"region": "EU-west-1"},
    {"region": "fips-us-west-2"},
    {"region": "us-gov-west-1-fips"},
    {"region": "aws-global"},
    {"region": "s3-external-1"},
    {"region": "zz-new-1"},
    *({"bucket": arn} for arn in (POINT, OBJECT_LAMBDA, OUTPOST)),
    *({"bucket": arn, "force_path_style": True} for arn in (POINT, OBJECT_LAMBDA, OUTPOST)),
    *({"bucket": arn, "region": "us-east-1"} for arn in (POINT, OBJECT_LAMBDA, OUTPOST)),
    *(
        {"bucket": arn, "endpoint_url": "https://vpce-1.s3.eu-west-1.vpce.amazonaws.com/x"}
        for arn in (POINT, OBJECT_LAMBDA, OUTPOST)
    ),
    {
        "bucket": POINT.replace("arn:aws:", "arn:aws-cn:").replace("eu-west-1", "cn-north-1"),
        "region": "cn-north-1",
    },
    {"bucket": OUTPOST_ALIAS},
    *(
        {"endpoint_url": f"{scheme}://{host}", "bucket": bucket, "force_path_style": False}
        for scheme in ("http", "https")
        for host in ("store.example.org:9000", "127.0.0.1")
        for bucket in ("with.dots", "My-Bucket", "under_score")
    ),
    {"endpoint_url": "http://localhost:9000", "region": "aws-global"},
    {"endpoint_url": "https://s3-accelerate.amazonaws.com"},
    {"endpoint_url": "https://s3-accelerate.amazonaws.com", "force_path_style": False},
]


def configured(settings: dict[str, Any]) -> S3Config:
    return S3Config(**{"bucket": "my-bucket", "region": "eu-west-1", **settings})


@pytest.mark.parametrize("settings", DIRECT, ids=str)
def test_plain_buckets(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(settings)
    assert found(config) == by_botocore(config)
    assert is_direct(config, monkeypatch)


@pytest.mark.parametrize("settings", RULES, ids=str)
def test_special_buckets(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(settings)
    assert found(config) == by_botocore(config)
    assert not is_direct(config, monkeypatch)


VARIABLES: list[dict[str, str]] = [
    {"AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "TRUE", "AWS_USE_FIPS_ENDPOINT": "True"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "yes"},
    {"AWS_S3_USE_ARN_REGION": "true"},
    {"AWS_ENDPOINT_URL": "https://store.example.org/x"},
    {"AWS_ENDPOINT_URL": "https://store.example.org", "AWS_ENDPOINT_URL_S3": "http://other.example.org:1"},
    {"AWS_ENDPOINT_URL": "https://store.example.org", "AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_ENDPOINT_URL": "https://store.example.org", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_ENDPOINT_URL": "https://store.example.org", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    {"AWS_ENDPOINT_URL": "https://s3-accelerate.amazonaws.com"},
    {"S3_ENDPOINT_URL": "https://store.example.org"},
    {"S3_ENDPOINT_URL": "https://store.example.org", "S3_FORCE_PATH_STYLE": "false"},
    {"S3_ENDPOINT_URL": "https://s3-accelerate.dualstack.amazonaws.com", "S3_FORCE_PATH_STYLE": "false"},
    {"S3_FORCE_PATH_STYLE": "true"},
    {"AWS_REGION": "ap-south-1", "AWS_DEFAULT_REGION": "sa-east-1"},
    {"AWS_DEFAULT_REGION": "sa-east-1"},
]


@combined(variables=VARIABLES, bucket=["my-bucket", POINT], profile={"environment": False, "profile": True})
def test_variables(
    variables: dict[str, str], bucket: str, profile: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if profile:
        (tmp_path / "config").write_text("[default]\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = S3Config(bucket=bucket)
    assert found(config) == by_botocore(config)


PROFILES = [
    "s3 =\n  addressing_style = path",
    "s3 =\n  addressing_style = virtual",
    "s3 =\n  addressing_style = auto",
    "s3 =\n  use_accelerate_endpoint = true",
    "s3 =\n  use_dualstack_endpoint = true",
    "s3 =\n  use_dualstack_endpoint = false\nuse_dualstack_endpoint = true",
    "s3 =\n  use_arn_region = true",
    "region = eu-south-1\nuse_fips_endpoint = false",
    "endpoint_url = https://store.example.org/x",
    "endpoint_url = https://store.example.org/x\ns3 =\n  addressing_style = virtual",
    "endpoint_url = https://store.example.org/x\nignore_configured_endpoint_urls = true",
    "endpoint_url = https://store.example.org\nservices = local\n[services local]\ns3 =\n  endpoint_url = http://h:1",
    "services = local\n[services local]\ndynamodb =\n  endpoint_url = http://h:1",
]


@combined(
    profile=PROFILES,
    settings=[{}, {"force_path_style": False}, {"endpoint_url": "https://h.example.org"}],
    bucket=["my-bucket", POINT],
)
def test_profiles(profile: str, settings: dict[str, Any], bucket: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"[default]\n{profile}\n")
    config = S3Config(bucket=bucket, **settings)
    try:
        expected = by_botocore(config)
    except Exception:  # noqa: BLE001  # S3 Transfer Acceleration has neither endpoints nor access points
        assert "accelerate" in profile
        with pytest.raises(InvalidConfigError):
            found(config)
        return
    assert found(config) == expected


@pytest.mark.parametrize(
    ("settings", "variables", "said"),
    [
        ({"bucket": POINT, "region": "cn-north-1"}, {}, "partition"),
        ({"bucket": POINT, "region": "us-east-1"}, {"AWS_S3_USE_ARN_REGION": "false"}, "does not match"),
        ({"bucket": MULTI}, {"AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS": "true"}, "disabled"),
        ({"bucket": OUTPOST}, {"AWS_USE_FIPS_ENDPOINT": "true"}, "FIPS"),
        ({"bucket": OBJECT_LAMBDA}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "Dual-stack"),
        ({"use_accelerate": True}, {"AWS_USE_FIPS_ENDPOINT": "true"}, "Accelerate"),
        ({"use_accelerate": True}, {"AWS_ENDPOINT_URL": "http://h"}, "Accelerate"),
        ({"endpoint_url": "http://h?a=b"}, {}, "no query"),
        ({"endpoint_url": "http://h/#a"}, {}, "no fragment"),
        ({"endpoint_url": "http://under_score"}, {}, "'under_score' is not the name of a host"),
        ({}, {"AWS_ENDPOINT_URL": "http://user:password@h"}, "no credentials"),
        ({}, {"AWS_ENDPOINT_URL": "h:9000"}, "http:// or https://"),
        ({}, {"AWS_REGION": "eu/west"}, "'eu/west' is not a region's name"),
    ],
    ids=str,
)
def test_what_does_not_go_together(
    settings: dict[str, Any], variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = S3Config(**{"bucket": "my-bucket", **settings})
    with pytest.raises(InvalidConfigError, match=said) as caught:
        found(config)
    assert "password" not in str(caught.value)


def test_names_are_checked_by_the_rules_of_the_store_that_is_used(tmp_path: Path) -> None:
    """A profile's endpoint is known only here: the configuration took the store for AWS, or not."""
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://store.example.org\n")
    assert found(S3Config(bucket="my-bucket")).host == "store.example.org"
    config = S3Config(bucket="My_Bucket", endpoint_url="http://h")
    with pytest.raises(InvalidConfigError, match="bucket's name on AWS"):
        resolve(config, AwsSettings("eu-west-1"))


@pytest.mark.parametrize("bucket", [MULTI, "arn:aws:s3::123456789012:accesspoint:other.mrap"])
def test_multi_region_access_points_need_the_sdk(bucket: str) -> None:
    with pytest.raises(NeedsSdk, match="sigv4a") as caught:
        found(S3Config(bucket=bucket))
    assert bucket in caught.value.reason


def test_settings_may_need_the_sdk() -> None:
    with pytest.raises(NeedsSdk, match="some reason"):
        resolve(S3Config(bucket="bucket"), AwsSettings(sdk_only="some reason"))


@pytest.mark.parametrize(
    ("settings", "host", "region"),
    [
        ({}, "my-bucket.s3.us-west-2.amazonaws.com", "us-west-2"),
        ({"force_path_style": True}, "s3.us-west-2.amazonaws.com", "us-west-2"),
        ({"use_accelerate": True}, "my-bucket.s3-accelerate.amazonaws.com", "us-west-2"),
        ({"endpoint_url": "https://h.example.org"}, "h.example.org", "us-west-2"),
        ({"bucket": POINT}, "reads-123456789012.s3-accesspoint.eu-west-1.amazonaws.com", "eu-west-1"),
    ],
    ids=str,
)
def test_another_region(settings: dict[str, Any], host: str, region: str) -> None:
    config = configured(settings)
    there = redirected(config, read_settings(config), "us-west-2")
    assert (there.host, there.region) == (host, region)


def test_another_region_is_checked() -> None:
    with pytest.raises(InvalidConfigError, match="not a region's name"):
        redirected(S3Config(bucket="bucket"), AwsSettings(), "evil.example.org/")


def test_the_rules_of_other_partitions_are_read_without_a_session() -> None:
    code = (
        "import sys\n"
        "from langgraph_checkpoint_s3.config import S3Config\n"
        "from langgraph_checkpoint_s3.s3.rest.endpoint import resolve\n"
        "from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings\n"
        "def loaded(region):\n"
        "    resolve(S3Config(bucket='bucket'), AwsSettings(region))\n"
        "    names = ('endpoint_provider', 'session', 'client', 'utils')\n"
        "    print([f'botocore.{name}' in sys.modules for name in names])\n"
        "loaded('eu-west-1')\n"
        "loaded('cn-north-1')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["[False, False, False, False]", "[True, False, False, True]"]


def test_an_endpoint_shows_its_url() -> None:
    assert found(S3Config(bucket="bucket", endpoint_url="http://[::1]:9000")).url == "http://[::1]:9000"
    assert (
        found(S3Config(bucket="bucket", region="eu-west-1")).url
        == "https://bucket.s3.eu-west-1.amazonaws.com"
    )
