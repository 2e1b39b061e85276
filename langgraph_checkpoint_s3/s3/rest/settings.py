"""AWS settings of a bucket's requests, from the saver's configuration, the environment and profiles.

Without configuration files, profile and session, everything comes from environment variables, and botocore's
session isn't imported: that would be a large part of a cold start. Otherwise a botocore session answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol

from langgraph_checkpoint_s3.aws import DEFAULT_REGION, botocore_session, region_of
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError, S3CheckpointError
from langgraph_checkpoint_s3.fork_safety import delay_forks
from langgraph_checkpoint_s3.validation import check_endpoint, check_region, is_aws

_PROFILE_VARIABLES: Final = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
_FILES: Final = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}
_ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_CHECKSUM_MODES: Final = ("when_supported", "when_required")
_SIGNED_BY_VERSION_4: Final = (None, "s3v4")


class AwsSettings(NamedTuple):
    """Settings of AWS's tools that apply to a bucket's requests.

    Attributes:
        region: The region. `us-east-1` if none is set anywhere.
        endpoint_url: The URL of a store other than AWS's own, or of one of AWS's hosts.
        ca_bundle: A file with the trusted certificates; `None` for the default ones.
        client_cert: A file with the client's certificate, or files with its certificate and key.
        use_fips: Whether to use FIPS endpoints.
        use_dualstack: Whether to use dual-stack endpoints.
        addressing_style: `path`, `virtual`, or another value or `None` for the default: `path` with a custom
            endpoint, else `virtual`.
        use_accelerate: Whether to use S3 Transfer Acceleration.
        use_arn_region: Whether an ARN's region applies rather than `region`.
        disable_mrap: Whether multi-region access points are refused.
        max_attempts: How often a request is sent before it fails, if AWS's variable or a profile says so.
        request_checksums: `when_supported` or `when_required`. The latter is the default for other stores.
        response_checksums: The same, for checksums of responses.
        app_id: The application's name for the `User-Agent` header.
        tcp_keepalive: Whether connections send keep-alive probes.
        unsigned: Whether requests are sent without a signature.
        sdk_only: The reason why only the SDK's client can follow the settings; `None` if there is none.
    """

    region: str = DEFAULT_REGION
    endpoint_url: str | None = None
    ca_bundle: str | None = None
    client_cert: str | tuple[str, str] | None = None
    use_fips: bool = False
    use_dualstack: bool = False
    addressing_style: str | None = None
    use_accelerate: bool = False
    use_arn_region: bool = True
    disable_mrap: bool = False
    max_attempts: int | None = None
    request_checksums: str = "when_supported"
    response_checksums: str = "when_supported"
    app_id: str | None = None
    tcp_keepalive: bool = False
    unsigned: bool = False
    sdk_only: str | None = None


class _Variable(NamedTuple):
    """Names of a setting.

    Attributes:
        name: Its name in a botocore session, and in a `Config` or in a profile's section `s3`.
        variable: The environment variable, if there is one.
        in_s3: Whether it is in a profile's section `s3`.
    """

    name: str
    variable: str = ""
    in_s3: bool = False


_CA_BUNDLE: Final = _Variable("ca_bundle", "AWS_CA_BUNDLE")
_FIPS: Final = _Variable("use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT")
_DUALSTACK: Final = _Variable("use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT")
_S3_DUALSTACK: Final = _Variable("use_dualstack_endpoint", in_s3=True)
_IGNORE_ENDPOINTS: Final = _Variable("ignore_configured_endpoint_urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
_STYLE: Final = _Variable("addressing_style", in_s3=True)
_ACCELERATE: Final = _Variable("use_accelerate_endpoint", in_s3=True)
_ARN_REGION: Final = _Variable("use_arn_region", "AWS_S3_USE_ARN_REGION", in_s3=True)
_NO_MRAP: Final = _Variable(
    "s3_disable_multiregion_access_points", "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS", in_s3=True
)
_MAX_ATTEMPTS: Final = _Variable("max_attempts", "AWS_MAX_ATTEMPTS")
_REQUEST_CHECKSUMS: Final = _Variable("request_checksum_calculation", "AWS_REQUEST_CHECKSUM_CALCULATION")
_RESPONSE_CHECKSUMS: Final = _Variable("response_checksum_validation", "AWS_RESPONSE_CHECKSUM_VALIDATION")
_APP_ID: Final = _Variable("user_agent_appid", "AWS_SDK_UA_APP_ID")
_KEEPALIVE: Final = _Variable("tcp_keepalive", "BOTOCORE_TCP_KEEPALIVE")


def read_settings(config: S3Config, session: Any = None) -> AwsSettings:
    """Read the settings. This may read files, so call it in a thread from a coroutine.

    Args:
        config: The saver's. Its settings, `S3_ENDPOINT_URL` and `S3_FORCE_PATH_STYLE` take precedence.
        session: A session passed in by the user: botocore's, aiobotocore's, boto3's or aioboto3's.

    Raises:
        InvalidConfigError: A value isn't valid, or a profile doesn't exist.
    """
    config = config.with_store_variables()
    if session is None and not _has_profiles():
        return _settings(config, _Environment())
    with mapped_errors(config.bucket), delay_forks():
        if session is None:
            from botocore.session import Session

            session = Session()
        core = botocore_session(session)
        if core is None:
            reason = f"the settings of a session of type {type(session).__name__} can't be read"
            return _settings(config, _Environment())._replace(sdk_only=reason)
        return _settings(config, _Session(core))


@contextmanager
def mapped_errors(bucket: str) -> Iterator[None]:
    """Map botocore's errors about settings to this package's."""
    try:
        yield
    except S3CheckpointError:
        raise
    except Exception as error:
        from langgraph_checkpoint_s3.s3.error_mapping import client_error

        mapped = client_error(error, bucket)
        if mapped is None:
            raise
        raise mapped from error


class _Source(Protocol):
    """The environment alone, or a botocore session."""

    def region(self, setting: str | None) -> str:
        """Return the region: the setting's, if there is one."""

    def get(self, variable: _Variable) -> Any:
        """Return a value as it was set, or converted; `None` if it wasn't."""

    def is_set(self, variable: _Variable) -> bool:
        """Return whether a value was set to something other than the SDK's default."""

    def profile_endpoint(self) -> str | None:
        """Return the endpoint of the profile."""


class _Environment:
    """The environment alone."""

    def region(self, setting: str | None) -> str:
        environ = os.environ
        return setting or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION

    def get(self, variable: _Variable) -> Any:
        return os.environ.get(variable.variable) if variable.variable else None

    def is_set(self, variable: _Variable) -> bool:
        return bool(self.get(variable))

    def profile_endpoint(self) -> str | None:
        return None


class _Session:
    """A botocore session, with its environment and profile.

    Its default client configuration takes precedence over the environment. Only the section `s3` of that
    doesn't apply: botocore replaces it with the client's own, which the saver sets.
    """

    def __init__(self, core: Any) -> None:
        self._core = core
        self.default = core.get_default_client_config()

    def region(self, setting: str | None) -> str:
        return region_of(setting, self._core, DEFAULT_REGION) or DEFAULT_REGION

    def get(self, variable: _Variable) -> Any:
        if variable.in_s3:
            section = self._core.get_config_variable("s3")
            return section.get(variable.name) if section else None
        own = getattr(self.default, variable.name, None)
        return self._core.get_config_variable(variable.name) if own is None else own

    def is_set(self, variable: _Variable) -> bool:
        profile = self._core.get_scoped_config()
        own = getattr(self.default, variable.name, None)
        return bool(own or os.environ.get(variable.variable) or profile.get(variable.name))

    def profile_endpoint(self) -> str | None:
        profile = self._core.get_scoped_config()
        url = None
        if "services" in profile:
            name = profile["services"]
            services = self._core.full_config.get("services", {}).get(name)
            if not services:
                raise InvalidConfigError(
                    f"The profile uses the section [services {name}], which the configuration file lacks."
                )
            url = services.get("s3", {}).get("endpoint_url")
        return url or profile.get("endpoint_url") or None


def _has_profiles() -> bool:
    """Return whether there may be a profile, which only botocore can read."""
    if any(name in os.environ for name in _PROFILE_VARIABLES):
        return True
    paths = (os.environ.get(name, default) for name, default in _FILES.items())
    # As botocore does. Unlike `Path.expanduser`, it raises nothing without a home directory.
    return any(os.path.isfile(os.path.expandvars(os.path.expanduser(path))) for path in paths)  # noqa: PTH111, PTH113  # pathlib raises


def _settings(config: S3Config, source: _Source) -> AwsSettings:
    region, pseudo_fips = _without_fips(source.region(config.region))
    check_region(region)
    endpoint = config.endpoint_url or _configured_endpoint(source)
    default = getattr(source, "default", None)
    dualstack = source.get(_S3_DUALSTACK) in (True, "True", "true") or _boolean(source.get(_DUALSTACK))
    on_aws = endpoint is None or is_aws(endpoint)
    signature = getattr(default, "signature_version", None)
    unsigned = _is_unsigned(signature)
    return AwsSettings(
        region=region,
        endpoint_url=endpoint,
        ca_bundle=_ca_bundle(source),
        client_cert=getattr(default, "client_cert", None),
        use_fips=pseudo_fips or bool(_boolean(source.get(_FIPS))),
        use_dualstack=bool(dualstack),
        addressing_style=_addressing_style(config) or source.get(_STYLE),
        use_accelerate=config.use_accelerate or bool(_boolean(source.get(_ACCELERATE))),
        use_arn_region=_boolean(source.get(_ARN_REGION)) is not False,
        disable_mrap=bool(_boolean(source.get(_NO_MRAP))),
        max_attempts=_max_attempts(source),
        request_checksums=_checksums(source, _REQUEST_CHECKSUMS, on_aws=on_aws),
        response_checksums=_checksums(source, _RESPONSE_CHECKSUMS, on_aws=on_aws),
        app_id=source.get(_APP_ID) or None,
        tcp_keepalive=bool(_boolean(source.get(_KEEPALIVE))),
        unsigned=unsigned,
        sdk_only=_sdk_only(default, signature) if not unsigned else None,
    )


def _without_fips(region: str) -> tuple[str, bool]:
    """Return a region's name, and whether it was a pseudo-region such as `fips-us-east-1`."""
    name = region.replace("fips-", "").replace("-fips", "")
    return name, name != region


def _configured_endpoint(source: _Source) -> str | None:
    if _boolean(source.get(_IGNORE_ENDPOINTS)):
        return None
    url = next(filter(None, map(os.environ.get, _ENDPOINT_VARIABLES)), None) or source.profile_endpoint()
    if url is not None:
        check_endpoint(url)
    return url


def _addressing_style(config: S3Config) -> str | None:
    by_path = bool(config.endpoint_url) if config.force_path_style is None else config.force_path_style
    if by_path:
        return "path"
    return "virtual" if config.force_path_style is False else None


def _ca_bundle(source: _Source) -> str | None:
    path: str | None = source.get(_CA_BUNDLE)
    if path is None:
        path = os.environ.get("REQUESTS_CA_BUNDLE")
    if path is not None and not path.strip():
        raise InvalidConfigError(
            "The CA bundle's path is empty (AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE, or the profile's ca_bundle)."
        )
    return path


def _max_attempts(source: _Source) -> int | None:
    said = os.environ.get(_MAX_ATTEMPTS.variable)
    if said == "":
        return None
    try:
        value = source.get(_MAX_ATTEMPTS)
        number = None if value is None else int(value)
    except ValueError:
        number = 0
    if number is not None and number < 1:
        name = f"{_MAX_ATTEMPTS.variable}={said!r}" if said else "The profile's max_attempts"
        raise InvalidConfigError(f"{name} is not a number of at least 1.")
    return number


def _checksums(source: _Source, variable: _Variable, *, on_aws: bool) -> str:
    if not on_aws and not source.is_set(variable):
        # Some stores reject the trailing checksum, or answer a range with the whole object's.
        return "when_required"
    mode = str(source.get(variable) or "when_supported").lower()
    if mode not in _CHECKSUM_MODES:
        name = variable.variable if os.environ.get(variable.variable) else f"The profile's {variable.name}"
        raise InvalidConfigError(f"{name} is {mode!r}, which is neither of {' and '.join(_CHECKSUM_MODES)}.")
    return mode


def _boolean(value: bool | str | None) -> bool | None:
    return value.lower() == "true" if isinstance(value, str) else value


def _is_unsigned(signature: Any) -> bool:
    if signature is None or isinstance(signature, str):
        return False
    from botocore import UNSIGNED

    return signature is UNSIGNED


def _sdk_only(default: Any, signature: Any) -> str | None:
    """Return why a session's default client configuration needs the SDK's client, if it does."""
    if signature not in _SIGNED_BY_VERSION_4:
        return f"the session signs with {signature!r}"
    if getattr(default, "client_context_params", None):
        return "the session sets client_context_params"
    return None
