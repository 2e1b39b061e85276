"""AWS's settings: their precedence, and that files, environment and sessions are read as botocore does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore
import botocore.session
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.config import Config

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.s3.rest import settings as module
from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings, read_settings
from tests.support.surroundings import surroundings, write_profile

__all__ = ["surroundings"]
pytestmark = pytest.mark.usefixtures("surroundings")

BUCKET = S3Config(bucket="bucket")


def boto3_session(config: Config | None = None) -> Any:
    core = botocore.session.Session()
    if config is not None:
        core.set_default_client_config(config)
    return boto3.Session(botocore_session=core)


def aio_session(config: Config | None = None) -> Any:
    core = AioSession()
    if config is not None:
        core.set_default_client_config(config)
    return core


SESSIONS = pytest.mark.parametrize("session", [boto3_session, aio_session])

# From the weakest to the strongest: each wins over all before it.
SOURCES: dict[str, list[tuple[str, Any]]] = {
    "region": [
        ("", "us-east-1"),
        ("region", "eu-north-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_REGION", "eu-west-1"),
        ("explicit region", "sa-east-1"),
    ],
    "endpoint_url": [
        ("", None),
        ("endpoint_url", "http://profile.example.org"),
        ("AWS_ENDPOINT_URL", "http://aws.example.org"),
        ("AWS_ENDPOINT_URL_S3", "http://s3.example.org"),
        ("S3_ENDPOINT_URL", "http://ours.example.org"),
        ("explicit endpoint_url", "http://said.example.org"),
    ],
    "ca_bundle": [
        ("", None),
        ("REQUESTS_CA_BUNDLE", "/requests.pem"),
        ("ca_bundle", "/profile.pem"),
        ("AWS_CA_BUNDLE", "/variable.pem"),
    ],
    "max_attempts": [("", None), ("max_attempts", 3), ("AWS_MAX_ATTEMPTS", 7)],
    "use_fips": [("", False), ("use_fips_endpoint", True), ("AWS_USE_FIPS_ENDPOINT", False)],
    "use_dualstack": [("", False), ("use_dualstack_endpoint", True), ("AWS_USE_DUALSTACK_ENDPOINT", False)],
    "app_id": [("", None), ("sdk_ua_app_id", "mine"), ("AWS_SDK_UA_APP_ID", "theirs")],
    "tcp_keepalive": [("", False), ("tcp_keepalive", True), ("BOTOCORE_TCP_KEEPALIVE", False)],
    "use_arn_region": [("", True), ("s3_use_arn_region", False), ("AWS_S3_USE_ARN_REGION", True)],
    "request_checksums": [
        ("", "when_supported"),
        ("request_checksum_calculation", "when_required"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "WHEN_SUPPORTED"),
    ],
    "response_checksums": [
        ("", "when_supported"),
        ("response_checksum_validation", "when_required"),
        ("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_supported"),
    ],
}


@pytest.mark.parametrize(
    ("name", "count"), [(name, n + 1) for name, of in SOURCES.items() for n in range(len(of))]
)
@pytest.mark.parametrize("how", ["nothing", "boto3", "aiobotocore"])
def test_precedence(name: str, count: int, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    explicit: dict[str, Any] = {}
    for source, value in SOURCES[name][:count]:
        if source.startswith("explicit"):
            explicit[source.removeprefix("explicit ")] = value
        elif source.isupper():
            monkeypatch.setenv(source, str(value))
        elif source:
            write_profile(tmp_path, **{source: str(value)})
    session = {"nothing": lambda: None, "boto3": boto3_session, "aiobotocore": aio_session}[how]()
    found = getattr(read_settings(S3Config(bucket="bucket", **explicit), session), name)
    expected = SOURCES[name][count - 1][1]
    assert found == (expected.lower() if name.endswith("checksums") else expected)


VARIABLES: list[dict[str, str]] = [
    {},
    {"AWS_REGION": ""},
    {"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-1"},
    {"AWS_DEFAULT_REGION": ""},
    {"AWS_REGION": "fips-us-west-2"},
    {"AWS_CA_BUNDLE": "/a.pem"},
    {"REQUESTS_CA_BUNDLE": "/b.pem"},
    {"AWS_USE_FIPS_ENDPOINT": "TRUE", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_USE_FIPS_ENDPOINT": "", "AWS_USE_DUALSTACK_ENDPOINT": "1"},
    {"AWS_S3_USE_ARN_REGION": "false", "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS": "true"},
    {"AWS_S3_USE_ARN_REGION": "", "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS": ""},
    {"AWS_MAX_ATTEMPTS": "9", "AWS_SDK_UA_APP_ID": "app", "BOTOCORE_TCP_KEEPALIVE": "true"},
    {"AWS_MAX_ATTEMPTS": "", "AWS_SDK_UA_APP_ID": "", "BOTOCORE_TCP_KEEPALIVE": ""},
    {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"},
    {"AWS_RESPONSE_CHECKSUM_VALIDATION": "When_Required"},
    {"AWS_REQUEST_CHECKSUM_CALCULATION": "", "AWS_RESPONSE_CHECKSUM_VALIDATION": ""},
    {"AWS_ENDPOINT_URL": "http://a", "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported"},
    {"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": ""},
    {"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"},
    {"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": ""},
    {"S3_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    {"AWS_ENDPOINT_URL": "https://s3.eu-west-1.amazonaws.com"},
    {"S3_ENDPOINT_URL": "https://a", "S3_FORCE_PATH_STYLE": "no"},
]


@pytest.mark.parametrize("variables", VARIABLES, ids=str)
def test_variables_alone_are_read_as_botocore_does(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_Session", None)
        alone = read_settings(BUCKET)
    (tmp_path / "config").write_text("[default]\n")
    assert read_settings(BUCKET) == alone
    assert read_settings(BUCKET, boto3_session()) == alone
    assert read_settings(BUCKET, aio_session()) == alone


def test_a_profiles_section_for_s3(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[default]\ns3 =\n  addressing_style = virtual\n  use_accelerate_endpoint = true\n"
        "  use_dualstack_endpoint = true\n  use_arn_region = false\n"
        "  s3_disable_multiregion_access_points = true\n"
    )
    found = read_settings(BUCKET)
    assert found == AwsSettings(
        ca_bundle=found.ca_bundle,
        addressing_style="virtual",
        use_accelerate=True,
        use_dualstack=True,
        use_arn_region=False,
        disable_mrap=True,
    )
    assert read_settings(BUCKET.replace(force_path_style=True)).addressing_style == "path"
    (tmp_path / "config").write_text("[default]\ns3 = a text\n")
    assert read_settings(BUCKET).addressing_style is None


def test_a_profiles_section_for_services(tmp_path: Path) -> None:
    said = "[default]\nendpoint_url = http://all\nservices = ours\n"
    (tmp_path / "config").write_text(f"{said}[services ours]\ns3 =\n  endpoint_url = http://s3.only\n")
    assert read_settings(BUCKET).endpoint_url == "http://s3.only"
    (tmp_path / "config").write_text(f"{said}[services ours]\nsqs =\n  endpoint_url = http://sqs\n")
    assert read_settings(BUCKET).endpoint_url == "http://all"
    (tmp_path / "config").write_text(said)
    with pytest.raises(InvalidConfigError, match=r"\[services ours\]"):
        read_settings(BUCKET)


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_a_named_profile(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(variable, "other")
    with pytest.raises(InvalidConfigError, match=r"profile \(other\) could not be found"):
        read_settings(BUCKET)
    (tmp_path / "credentials").write_text("[other]\nregion = eu-west-3\n")
    assert read_settings(BUCKET).region == "eu-west-3"


@SESSIONS
def test_a_sessions_default_client_configuration(
    session: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It takes precedence over the environment, except for the section `s3`, which the saver replaces."""
    write_profile(tmp_path, endpoint_url="http://profile.example.org")
    for name in ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "BOTOCORE_TCP_KEEPALIVE"):
        monkeypatch.setenv(name, "false")
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "theirs")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    settings: dict[str, Any] = {
        "region_name": "eu-west-1",
        "use_fips_endpoint": True,
        "use_dualstack_endpoint": True,
        "ignore_configured_endpoint_urls": True,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "user_agent_appid": "mine",
        "tcp_keepalive": True,
        "client_cert": ("/cert.pem", "/key.pem"),
        "signature_version": "s3v4",
        "s3": {"addressing_style": "path", "use_accelerate_endpoint": True},
    }
    make = AioConfig if session is aio_session else Config
    found = read_settings(BUCKET, session(make(**settings)))
    assert found == AwsSettings(
        "eu-west-1",
        ca_bundle=found.ca_bundle,
        client_cert=("/cert.pem", "/key.pem"),
        use_fips=True,
        use_dualstack=True,
        request_checksums="when_required",
        response_checksums="when_required",
        app_id="mine",
        tcp_keepalive=True,
    )
    client = boto3_session(Config(**settings)).client("s3", config=Config(s3={}))
    assert "addressing_style" not in client.meta.config.s3
    assert read_settings(BUCKET.replace(region="sa-east-1"), session(make(**settings))).region == "sa-east-1"


@pytest.mark.parametrize("said", [True, False])
@SESSIONS
def test_checksums_with_another_store(session: Callable[..., Any], said: bool) -> None:
    """They are used only where they are required, unless the user says otherwise."""
    config = Config(response_checksum_validation="when_supported") if said else None
    found = read_settings(BUCKET.replace(endpoint_url="http://h"), session(config))
    assert found.request_checksums == "when_required"
    assert found.response_checksums == ("when_supported" if said else "when_required")


@SESSIONS
def test_a_region_that_was_set_on_a_session(
    session: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    found = session()
    getattr(found, "_session", found).set_config_variable("region", "eu-west-1")
    assert read_settings(BUCKET, found).region == "eu-west-1"


@SESSIONS
def test_unsigned_requests(session: Callable[..., Any]) -> None:
    found = read_settings(BUCKET, session(Config(signature_version=botocore.UNSIGNED)))
    assert found.unsigned
    assert found.sdk_only is None


@SESSIONS
@pytest.mark.parametrize(
    "settings",
    [{"signature_version": "s3"}, {"signature_version": "v4a"}, {"client_context_params": {"a": "b"}}],
    ids=str,
)
def test_settings_that_only_the_sdk_can_follow(session: Callable[..., Any], settings: dict[str, Any]) -> None:
    found = read_settings(BUCKET, session(Config(**settings)))
    assert found.sdk_only is not None
    assert "session" in found.sdk_only


def test_a_session_of_another_kind_needs_the_sdk() -> None:
    assert (
        read_settings(BUCKET, object()).sdk_only == "the settings of a session of type object can't be read"
    )


@pytest.mark.parametrize("profile", [False, True])
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_MAX_ATTEMPTS", "many", "AWS_MAX_ATTEMPTS='many'"),
        ("AWS_MAX_ATTEMPTS", "0", "AWS_MAX_ATTEMPTS='0'"),
        ("AWS_MAX_ATTEMPTS", "2.5", "AWS_MAX_ATTEMPTS='2.5'"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "never", "AWS_REQUEST_CHECKSUM_CALCULATION is 'never'"),
        ("AWS_RESPONSE_CHECKSUM_VALIDATION", "x", "AWS_RESPONSE_CHECKSUM_VALIDATION is 'x'"),
        ("AWS_CA_BUNDLE", " ", "CA bundle's path is empty"),
        ("AWS_REGION", "eu west", "'eu west' is not a region's name"),
        ("AWS_ENDPOINT_URL_S3", "localhost:9000", "'localhost:9000' is not an http"),
        ("S3_FORCE_PATH_STYLE", "perhaps", "S3_FORCE_PATH_STYLE='perhaps'"),
    ],
)
def test_a_variable_that_cannot_be_is_named(
    variable: str, value: str, said: str, profile: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, value)
    if profile:
        (tmp_path / "config").write_text("[default]\n")
    with pytest.raises(InvalidConfigError, match=said):
        read_settings(BUCKET)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_attempts", "many"), ("max_attempts", "-1"), ("request_checksum_calculation", "x")],
)
def test_a_value_of_a_profile_that_cannot_be_is_named(name: str, value: str, tmp_path: Path) -> None:
    write_profile(tmp_path, **{name: value})
    with pytest.raises(InvalidConfigError, match=f"The profile's {name}"):
        read_settings(BUCKET)


def test_a_configuration_file_that_cannot_be_parsed(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default\n")
    with pytest.raises(InvalidConfigError, match="can't be made with these settings"):
        read_settings(BUCKET)


LOADS = """
import sys
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.s3.rest.credentials import credential_source
from langgraph_checkpoint_s3.s3.rest.endpoint import resolve
from langgraph_checkpoint_s3.s3.rest.settings import read_settings
config = S3Config(bucket="bucket")
settings = read_settings(config)
resolve(config, settings)
credential_source(config, settings).get()
names = ("botocore.session", "botocore.credentials", "botocore.utils", "boto3", "aiobotocore")
print([name for name in names if name in sys.modules])
"""


@pytest.mark.parametrize("file", [None, "config", "credentials"])
def test_the_environment_alone_needs_no_session(file: str | None, tmp_path: Path) -> None:
    if file is not None:
        (tmp_path / file).write_text("[default]\n")
    ran = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=True)
    assert ("botocore.session" in ran.stdout) == (file is not None)
    if file is None:
        assert ran.stdout == "[]\n"


def test_files_are_found_as_botocore_finds_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_settings(BUCKET).region == "us-east-1"
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = eu-west-1\n")
    assert read_settings(BUCKET).region == "eu-west-1"
    (tmp_path / "other").write_text("[default]\nregion = eu-west-2\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", "$HOME/other")
    assert read_settings(BUCKET).region == "eu-west-2"
    monkeypatch.setenv("AWS_CONFIG_FILE", "~/nothing")
    assert read_settings(BUCKET).region == "us-east-1"
