"""The endpoint of a bucket: host, beginning of the path, and region and service of its signatures.

Plain buckets of AWS's largest partition and of custom endpoints are resolved here. For everything else
botocore's rules are imported and evaluated: access points, other partitions, FIPS, dual-stack and so on.
"""

from __future__ import annotations

import functools
import os
import re
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings, mapped_errors
from langgraph_checkpoint_s3.validation import check_endpoint, check_region, is_arn, is_aws

_REGION: Final = r"(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-[0-9]+"
"""Regions of the partition `aws`, as in botocore's partitions.json. Others have other domains."""
_HOST_LABEL: Final = r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
_SPECIAL_BUCKET: Final = r".*--[a-z]+-s3"
"""Suffixes of buckets and aliases with endpoints of their own, such as `--op-s3` of S3 on Outposts."""
_ACCELERATE: Final = "s3-accelerate."
_HOSTNAME: Final = r"(?=.{1,255}$)(?:(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.?"
_IPV4: Final = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_PORTS: Final = {"http": 80, "https": 443}
_PATH_CHARACTERS: Final = "/%-._~!$&'()*+,;=:@"


class NeedsSdk(Exception):  # noqa: N818  # no error: the caller uses the SDK's client instead
    """Only the SDK's client can send a bucket's requests.

    Attributes:
        reason: The reason, for logs.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Endpoint(NamedTuple):
    """The place that a bucket's requests go to.

    Attributes:
        scheme: `https` or `http`.
        host: The host's name in lower case, or its address. An IPv6 address is without brackets.
        port: The port.
        authority: The `Host` header: with the port unless it is the scheme's default.
        base_path: The percent-encoded beginning of every request's path, without a slash at its end: `""` in
            virtual-hosted style, `/bucket` in path style, each after the path of a custom endpoint.
        region: The region of signatures.
        service: The service of signatures, usually `s3`.
    """

    scheme: str
    host: str
    port: int
    authority: str
    base_path: str
    region: str
    service: str = "s3"

    @property
    def url(self) -> str:
        """The scheme and authority, for messages."""
        return f"{self.scheme}://{self.authority}"


def resolve(config: S3Config, settings: AwsSettings) -> Endpoint:
    """Return the endpoint of a saver's bucket. This may read files, so call it in a thread from a coroutine.

    AWS's regional host is used in `us-east-1`, too: the global one redirects in a bucket's first hours.

    Raises:
        InvalidConfigError: The settings don't go together.
        NeedsSdk: The requests aren't signed with plain SigV4, or the settings need the SDK's client.
    """
    if settings.sdk_only is not None:
        raise NeedsSdk(settings.sdk_only)
    url = settings.endpoint_url
    config.check_names(on_aws=url is None or is_aws(url))
    if url is None:
        found = _of_aws(config.bucket, settings)
    else:
        _check_url(url)
        found = _of_url(config.bucket, urlsplit(url), settings)
    return found or _by_rules(config.bucket, settings)


def redirected(config: S3Config, settings: AwsSettings, region: str) -> Endpoint:
    """Return the endpoint of a saver's bucket in another region, which S3 named in a redirect.

    Raises:
        InvalidConfigError: The region's name is malformed, or doesn't go with the settings.
        NeedsSdk: As in `resolve`.
    """
    check_region(region)
    return resolve(config, settings._replace(region=region))


def _check_url(url: str) -> None:
    check_endpoint(url)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if "?" in url or "#" in url:
        raise InvalidConfigError(f"endpoint_url={url!r} must have no query and no fragment.")
    if ":" not in host and not re.fullmatch(_HOSTNAME, host):
        raise InvalidConfigError(f"endpoint_url={url!r}: {host!r} is not the name of a host.")


def _of_aws(bucket: str, settings: AwsSettings) -> Endpoint | None:
    """Return the endpoint of a plain bucket on AWS; `None` for any other."""
    region = settings.region
    if (
        settings.use_fips
        or settings.use_dualstack
        or settings.use_accelerate
        or not re.fullmatch(_REGION, region)
        or not _is_host_label(bucket)
    ):
        return None
    host = f"s3.{region}.amazonaws.com"
    if settings.addressing_style == "path":
        return Endpoint("https", host, 443, host, f"/{bucket}", region)
    host = f"{bucket}.{host}"
    return Endpoint("https", host, 443, host, "", region)


def _of_url(bucket: str, url: SplitResult, settings: AwsSettings) -> Endpoint | None:
    """Return the endpoint of a bucket on another store, or on a host of AWS's; `None` for special ones."""
    host = url.hostname or ""
    if (
        settings.use_accelerate
        or is_arn(bucket)
        or re.fullmatch(_SPECIAL_BUCKET, bucket)
        or settings.region == "aws-global"
        or host.startswith(_ACCELERATE)
    ):
        return None
    is_address = ":" in host or re.fullmatch(_IPV4, host) is not None
    if settings.addressing_style != "virtual" or (is_address and _is_host_label(bucket)):
        # As botocore normalizes it. Its rules keep the path as it is in virtual-hosted style.
        base = "".join(f"/{each}" for each in _without_dots(quote(url.path)))
        return _endpoint(url, f"{base}/{bucket}", settings.region)
    if not _is_host_label(bucket):
        return None
    return _endpoint(url, _base_path(url.path), settings.region, below=f"{bucket}.")


def _by_rules(bucket: str, settings: AwsSettings) -> Endpoint:
    """Return the endpoint by botocore's rules."""
    with mapped_errors(bucket):
        found = _rules().resolve_endpoint(**_parameters(bucket, settings))
    schemes = found.properties.get("authSchemes", ())
    plain = next((scheme for scheme in schemes if scheme["name"] == "sigv4"), None)
    if plain is None:
        names = ", ".join(scheme["name"] for scheme in schemes)
        raise NeedsSdk(f"requests to {bucket} are signed with {names or 'no known scheme'}")
    if found.headers:
        raise NeedsSdk(f"requests to {bucket} have special headers")
    url = urlsplit(found.url)
    return _endpoint(url, _base_path(url.path), plain["signingRegion"], service=plain["signingName"])


def _parameters(bucket: str, settings: AwsSettings) -> dict[str, Any]:
    """Return the parameters of the rules, as botocore's client sets them."""
    url = settings.endpoint_url
    by_path = settings.addressing_style == "path"
    if url is not None:
        from botocore.utils import is_s3_accelerate_url

        by_path = by_path or (settings.addressing_style != "virtual" and not is_s3_accelerate_url(url))
    parameters: dict[str, Any] = {
        "Bucket": bucket,
        "Region": settings.region,
        "UseFIPS": url is None and settings.use_fips,
        "UseDualStack": url is None and settings.use_dualstack,
        "ForcePathStyle": by_path and not settings.use_accelerate and not is_arn(bucket),
        "Accelerate": settings.use_accelerate,
        "UseGlobalEndpoint": False,
        "UseArnRegion": settings.use_arn_region,
        "DisableMultiRegionAccessPoints": settings.disable_mrap,
    }
    return parameters if url is None else {**parameters, "Endpoint": url}


@functools.cache
def _rules() -> Any:
    """Return botocore's rules for S3 endpoints, whose parsing takes some 50 ms."""
    from botocore.endpoint_provider import EndpointProvider
    from botocore.loaders import create_loader

    loader = create_loader(os.environ.get("AWS_DATA_PATH"))
    rules = loader.load_service_model("s3", "endpoint-rule-set-1")
    return EndpointProvider(rules, loader.load_data("partitions"))


def _endpoint(
    url: SplitResult, base_path: str, region: str, *, service: str = "s3", below: str = ""
) -> Endpoint:
    """Return the endpoint of a URL.

    Args:
        url: The URL.
        base_path: The beginning of each request's path.
        region: The region of signatures.
        service: The service of signatures.
        below: What precedes the host's name.
    """
    host = below + (url.hostname or "")
    default = _PORTS[url.scheme]
    port = url.port or default
    name = f"[{host}]" if ":" in host else host
    authority = name if port == default else f"{name}:{port}"
    return Endpoint(url.scheme, host, port, authority, base_path, region, service)


def _base_path(path: str) -> str:
    return quote(path.removesuffix("/"), safe=_PATH_CHARACTERS)


def _without_dots(path: str) -> list[str]:
    """Return a path's segments without empty ones, `.` and `..`."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return segments


def _is_host_label(bucket: str) -> bool:
    return re.fullmatch(_HOST_LABEL, bucket) is not None and not re.fullmatch(_SPECIAL_BUCKET, bucket)
