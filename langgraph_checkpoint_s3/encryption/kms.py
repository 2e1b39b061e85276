"""Keys from AWS KMS, which makes data keys, and wraps and unwraps them under a key that never leaves it.

Requests are blocking, by boto3: the saver calls in a worker thread, and caches the keys for `cache_seconds`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from langgraph_checkpoint_s3.crypto.provider import MAX_WRAPPED_KEY, SECRET_BYTES, DataKey, KeyRef
from langgraph_checkpoint_s3.encryption.kms_client import KmsClient
from langgraph_checkpoint_s3.encryption.ring import from_base64
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    DecryptionError,
    InvalidConfigError,
    S3CheckpointError,
)

CONTEXT: Final[Mapping[str, str]] = MappingProxyType({"purpose": "langgraph-checkpoint-s3"})
"""The default encryption context."""

_NAME: Final = re.compile(r"[A-Za-z0-9:/_-]{1,2048}")
_ARN: Final = re.compile(r"(arn:aws[a-z-]*:kms):([a-z0-9-]+):([0-9]+):((?:key|alias)/.+)")


class KmsKeys:
    """Envelope encryption by AWS KMS: it makes the data keys, which are stored wrapped in the objects.

    Costs, as of 2026: 1 USD a month for a customer managed key, and 0.03 USD for 10,000 requests, of
    which 20,000 a month are free (https://aws.amazon.com/kms/pricing/). A saver that writes makes a
    request every `cache_seconds`; one that reads makes one for each data key that it finds. So have
    few savers per process. A request fails after 5 attempts, each of which waits 10 s for an answer.

    IAM actions, on the master keys: `kms:GenerateDataKey` to write, `kms:Decrypt` to read,
    `kms:GenerateDataKeyWithoutPlaintext` for `new_names_key`.

    Automatic rotation by KMS needs no change: the key's ARN stays, and KMS keeps the old material. To change
    to another master key, add both ARNs to `also_read` wherever objects are read; then change `key_id`.

    Args:
        key_id: The master key to write with: the ARN or id of a key, or an alias. Before an alias is pointed
            to another key, add the old key's ARN to `also_read`.
        also_read: ARNs or ids (no aliases) of other master keys that may unwrap, in the same region as
            `key_id`. Data keys of any other are rejected without a request. Default: none.
        client: A boto3 KMS client to use as it is. Default: one of our own, made on first use.
        session: A `boto3.Session` to make the client from.
        region: The keys' region. Default: the one in their ARNs, else AWS's own chain.
        endpoint_url: Another address for KMS, such as a VPC endpoint's.
        encryption_context: The context that KMS binds the data keys to. It shows up in CloudTrail, and
            policies can require it. Not secret, and must never change: with another one nothing can be
            unwrapped.
        cache_seconds: How long a saver may keep an unwrapped key, in seconds; 0 makes a request each time.
            Longer is cheaper, but more is encrypted with one data key, and a running process still reads and
            writes for that long after access to the master key is withdrawn. Default: 5 minutes, or 12
            requests an hour.
        names_key: The bytes that `new_names_key()` returned, or their base64; for `private_keys`. It is
            unwrapped when a saver is made, which blocks for the first one.

    Raises:
        InvalidConfigError: An argument is invalid.
    """

    def __init__(
        self,
        key_id: str,
        *,
        also_read: Sequence[str] = (),
        client: Any = None,
        session: Any = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        encryption_context: Mapping[str, str] = CONTEXT,
        cache_seconds: float = 300.0,
        names_key: bytes | str | None = None,
    ) -> None:
        self._keys = (key_id, *_checked_keys(key_id, also_read))
        self._client = KmsClient(_region(self._keys, region), endpoint_url, client, session)
        self._context = _checked_context(encryption_context)
        self.cache_seconds = _checked_seconds(cache_seconds)
        wrapped = from_base64(names_key) if isinstance(names_key, str) else names_key
        if names_key is not None and not (isinstance(wrapped, bytes) and 0 < len(wrapped) <= MAX_WRAPPED_KEY):
            raise InvalidConfigError("names_key must be what new_names_key() returned, or its base64")
        self._wrapped_names = wrapped
        self._names: bytes | None = None

    def current(self) -> DataKey:
        """Return a new data key (`kms:GenerateDataKey`).

        Raises:
            AccessDeniedError: The credentials lack the action.
            InvalidConfigError: The master key is missing, disabled or of the wrong kind.
            StorageUnavailableError: KMS can't be reached, or keeps failing.
        """
        return self._client.once("current", self._generate)

    def unlock(self, ref: KeyRef) -> bytes:
        """Unwrap a data key (`kms:Decrypt`).

        Raises:
            DecryptionError: It was wrapped under a key that isn't in `key_id` or `also_read`, is deleted or
                disabled, with another encryption context, or not by KMS.
            AccessDeniedError: The credentials lack the action.
            StorageUnavailableError: KMS can't be reached, or keeps failing.
        """
        if not 0 < len(ref.wrapped) <= MAX_WRAPPED_KEY:
            raise DecryptionError(
                f"The object is encrypted with key {ref.id[:200]!r}, which isn't one of AWS KMS. "
                "Read it with its own provider"
            )
        key = self._configured_key(ref.id)
        return self._client.once(ref, lambda: self._decrypt(key, ref.wrapped, ref.id))

    def names_key(self) -> bytes | None:
        """Return the names key, unwrapped the first time (`kms:Decrypt`); `None` if none was given.

        Raises:
            S3CheckpointError: As `unlock` does.
        """
        wrapped = self._wrapped_names
        if wrapped is None:
            return None
        if self._names is None:
            self._names = self._client.once("names", lambda: self._decrypt_names(wrapped))
        return self._names

    def new_names_key(self) -> bytes:
        """Return a new wrapped names key. Keep it, and pass it as `names_key` from then on.

        It isn't secret, since it is wrapped by the master key. If that key is lost, so is this one. Needs
        `kms:GenerateDataKeyWithoutPlaintext`.

        Raises:
            S3CheckpointError: As `current` does.
        """
        answer = self._ask(
            "generate_data_key_without_plaintext", self._keys[0], KeySpec="AES_256", KeyId=self._keys[0]
        )
        return bytes(answer["CiphertextBlob"])

    def close(self) -> None:
        """Close the connections, unless the client is the user's own. The next use makes a new one."""
        self._client.close()

    def __repr__(self) -> str:
        return f"KmsKeys({', '.join(map(repr, self._keys))})"

    def __reduce__(self) -> Any:
        raise TypeError("KmsKeys can't be pickled: they may hold a secret. Make them in each process.")

    def __copy__(self) -> KmsKeys:
        return self

    def __deepcopy__(self, memo: Any) -> KmsKeys:
        return self

    def _generate(self) -> DataKey:
        key = self._keys[0]
        answer = self._ask("generate_data_key", key, KeySpec="AES_256", KeyId=key)
        return DataKey(KeyRef(str(answer["KeyId"]), bytes(answer["CiphertextBlob"])), _plaintext(answer, key))

    def _configured_key(self, id: str) -> str:
        """Return the configured name of the key that an object names. KMS is never asked by another name."""
        for key in self._keys:
            if _same_key(key, id):
                return key
        if _is_alias(self._keys[0]) and _is_key_arn(id):
            return self._keys[0]  # KMS rejects it if the alias points to another key
        raise DecryptionError(
            f"The object's data key is wrapped under {id[:200]!r}, which isn't key_id ({self._keys[0]!r}) "
            "or in also_read. If it is a master key of yours, add its ARN to also_read"
        )

    def _decrypt(self, key: str, wrapped: bytes, id: str) -> bytes:
        shown = id if _same_key(key, id) else f"{id[:200]} (asked as {key})"
        answer = self._ask("decrypt", shown, CiphertextBlob=wrapped, KeyId=key)
        unwrapped_by = str(answer["KeyId"])
        if not _same_key(unwrapped_by, id):
            del answer  # error reporters show a frame's variables
            raise DecryptionError(
                f"KMS unwrapped the data key with {unwrapped_by!r}; the object names {id[:200]!r}"
            )
        return _plaintext(answer, id)

    def _decrypt_names(self, wrapped: bytes) -> bytes:
        """Unwrap the names key with one key after another: the blob doesn't say which of them wrapped it."""
        errors: list[S3CheckpointError] = []
        for key in self._keys:
            try:
                answer = self._ask("decrypt", key, CiphertextBlob=wrapped, KeyId=key)
            except (DecryptionError, AccessDeniedError) as error:
                errors.append(error)
            else:
                return _plaintext(answer, key)
        raise next((error for error in errors if isinstance(error, AccessDeniedError)), errors[0])

    def _ask(self, operation: str, key: str, **arguments: Any) -> Mapping[str, Any]:
        return self._client.call(operation, key, EncryptionContext=dict(self._context), **arguments)


def _plaintext(answer: Mapping[str, Any], key: str) -> bytes:
    secret = bytes(answer["Plaintext"])
    if len(secret) != SECRET_BYTES:
        del secret, answer  # error reporters show a frame's variables
        raise DecryptionError(
            f"What KMS unwrapped with {key[:200]!r} isn't a data key of {SECRET_BYTES} bytes"
        )
    return secret


def _checked_seconds(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise InvalidConfigError("cache_seconds must be a number of seconds, 0 or more")
    return float(seconds)


def _checked_keys(key_id: object, also_read: Any) -> Sequence[str]:
    if isinstance(also_read, str) or not isinstance(also_read, Sequence):
        raise InvalidConfigError("also_read must be a list of KMS keys")
    for name, key in (("key_id", key_id), *(("also_read", key) for key in also_read)):
        if not isinstance(key, str) or not _NAME.fullmatch(key):
            raise InvalidConfigError(f"{name} must be a KMS key's ARN or id, or an alias")
        if name == "also_read" and _is_alias(key):
            raise InvalidConfigError(
                f"also_read must name keys by ARN or id, not by an alias ({key!r}): objects name the key "
                "that it pointed to when they were written"
            )
    return tuple(also_read)


def _region(keys: Sequence[str], region: str | None) -> str | None:
    regions = {match[2] for match in map(_ARN.fullmatch, keys) if match} | ({region} if region else set())
    if len(regions) > 1:
        raise InvalidConfigError(
            f"The keys and region must be of one region, not {', '.join(sorted(regions))}. Of a multi-Region "
            "key, name the replica in this region: it unwraps what the others wrapped"
        )
    return next(iter(regions), None)


def _checked_context(context: Any) -> Mapping[str, str]:
    if not isinstance(context, Mapping) or not all(
        isinstance(text, str) and text for pair in context.items() for text in pair
    ):
        raise InvalidConfigError("encryption_context must be a mapping of texts to texts")
    return MappingProxyType(dict(context))


def _is_alias(key: str) -> bool:
    match = _ARN.fullmatch(key)
    return (match[4] if match else key).startswith("alias/")


def _is_key_arn(key: str) -> bool:
    match = _ARN.fullmatch(key)
    return match is not None and match[4].startswith("key/")


def _same_key(one: str, other: str) -> bool:
    """Return whether two names mean one master key, as those of a multi-Region key's replicas do."""
    if one == other:
        return True
    a, b = _ARN.fullmatch(one), _ARN.fullmatch(other)
    if a and b:
        return a[4].startswith("key/mrk-") and (a[1], a[3], a[4]) == (b[1], b[3], b[4])
    arn, bare = (a, other) if a else (b, one)
    return arn is not None and arn[4] == f"key/{bare}"
