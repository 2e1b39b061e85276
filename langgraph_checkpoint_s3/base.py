"""How a saver is made, made ready and closed: of `S3Saver` all that stores nothing."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.base import BaseCheckpointSaver

from langgraph_checkpoint_s3.config import S3Config, unknown_setting
from langgraph_checkpoint_s3.crypto.aead import derive_key
from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.crypto.provider import SECRET_BYTES
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.ids import thread_name
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.format.name_hashing import NameHasher
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.parent_cache import ParentCache
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.stats import Stats
from langgraph_checkpoint_s3.s3.store import Store
from langgraph_checkpoint_s3.version import __version__

if TYPE_CHECKING:
    from types import TracebackType

    from langgraph.checkpoint.serde.base import SerializerProtocol
    from typing_extensions import Self

    from langgraph_checkpoint_s3.crypto.provider import KeyProvider
    from langgraph_checkpoint_s3.lease import Lease

_WRITER = f"langgraph-checkpoint-s3/{__version__}"
_OWN_KEYWORDS = frozenset({"serde", "client", "session", "aio_session", "encryption"})


_STEP_BACK: Final = 2_000_000_000


class _Clock:
    """The time in ns since 1970, never twice the same: what is written later says so.

    It goes back only where it was seconds ahead, as before the store's first answer, which tells its time.

    Args:
        source: The time by the store's clock.
    """

    def __init__(self, source: Callable[[], int]) -> None:
        self._source = source
        self._last = 0
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Tell the time on."""
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            now = self._source()
            self._last = now if self._last - now > _STEP_BACK else max(self._last + 1, now)
            return self._last


class Closing:
    """What `with` and `async with` close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close what is open."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """`close`, as a coroutine."""
        raise NotImplementedError


class BaseS3Saver(Closing, BaseCheckpointSaver[str]):
    """A saver without LangGraph's methods: settings, connections, set-up. Not for use by itself."""

    def __init__(
        self,
        bucket: str | None = None,
        *,
        config: S3Config | None = None,
        serde: SerializerProtocol | None = None,
        client: Any = None,
        session: Any = None,
        aio_session: Any = None,
        encryption: KeyProvider | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(serde=serde)
        _, settings = _split(settings)
        if bucket is not None:
            settings["bucket"] = bucket
        self.config = config.replace(**settings) if config else S3Config(**settings)
        self._vault = _vault(self.config, encryption)
        self._layout = Layout(self.config.prefix, _names(self.config, encryption))
        self._sizes = Sizes(
            self.config.multipart_threshold, self.config.multipart_part_size, self.config.cache_bytes
        )
        self._rules = BorrowPolicy(horizon=self.config.borrow_horizon)
        self._store = Store(self.config, _WRITER, client=client, session=session, aio_session=aio_session)
        self._now = _Clock(lambda: self._store.saver_state.store_time())  # noqa: PLW0108  # the store may change

    @classmethod
    def from_conn_string(cls, conn_string: str, **keywords: Any) -> Self:
        """A saver from `s3://bucket/prefix?setting=value&…`.

        Args:
            conn_string: Bucket, prefix and any setting of `S3Config` by its name, such as
                `s3://my-bucket/agents?region=eu-west-1`. No credentials.
            **keywords: As for `S3Saver` itself; settings here win over the string's.

        Raises:
            InvalidConfigError: It isn't such a string, or a setting is unknown or out of range.
        """
        own, settings = _split(keywords)
        return cls(config=S3Config.from_conn_string(conn_string, **settings), **own)

    @classmethod
    def from_env(cls, **keywords: Any) -> Self:
        """A saver from the environment.

        Reads `S3_BUCKET_NAME`, `S3_KEY_PREFIX`, `AWS_REGION`, `S3_ENDPOINT_URL` and
        `S3_FORCE_PATH_STYLE`. Credentials come from AWS's own variables, profiles and roles.

        Args:
            **keywords: As for `S3Saver` itself; settings here win over the environment's.

        Raises:
            InvalidConfigError: `S3_BUCKET_NAME` is missing, or a value is out of range.
        """
        own, settings = _split(keywords)
        if own.keys() & {"session", "aio_session"}:  # one may name a region, which wins over AWS_REGION
            settings.setdefault("region", None)
        return cls(config=S3Config.from_env(**settings), **own)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config.bucket!r}, prefix={self.config.prefix!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: settings and `stats`, as a table. Sends nothing."""
        from langgraph_checkpoint_s3.notebook import table  # in notebooks alone

        return table(type(self).__name__, self.config, self.stats())

    def close(self) -> None:
        """Close connections and threads. The saver stays usable: its next use opens new ones."""
        self._store.close()

    async def aclose(self) -> None:
        """Close the running event loop's connections, and those of the blocking methods."""
        await self._store.aclose()

    def stats(self) -> Stats:
        """What this saver has done in this process: operations, requests, bytes, retries, cache hits."""
        return self._store.saver_state.stats()

    def setup(self) -> None:
        """Make the bucket ready: create it if it is missing, and try all that the saver will need.

        Writes, reads, lists and deletes one small probe object. Optional, and safe to run again.
        Needs the run-time role's permissions, `s3:CreateBucket` if there is no bucket, and
        `s3:PutBucketVersioning` with `versioning=True`.

        Raises:
            BucketNotFoundError: There is no bucket, and it may not be made.
            AccessDeniedError: Permissions are missing; the message names them all.
            StorageUnavailableError: The store can't be reached, or doesn't keep what it is given.
        """
        self._note_conditional(self._store.run(self._setup(), "setup"))

    async def asetup(self) -> None:
        """`setup`, as a coroutine."""
        self._note_conditional(await self._store.arun(self._setup(), "setup"))

    def lease(
        self,
        thread_id: str,
        *,
        ttl: float | timedelta = 60.0,
        wait: float | timedelta = 0.0,
        holder: str | None = None,
        auto_renew: bool = True,
    ) -> Lease:
        """A lock for a thread, across machines, that ends by itself when its holder dies.

            with saver.lease("customer-42", wait=300) as lease:
                graph.invoke(inputs, config)

        It keeps out those who take it too, and nobody else. Entering it sends one GET and one PUT (and
        once a saver three PUTs that make sure that the store heeds conditions), each renewal and the
        release one PUT. Needs `s3:GetObject` and `s3:PutObject`. A holder that is paused for longer than
        `ttl` loses it without noticing at once: `Lease.check` tells before something that matters, and
        `Lease.token` lets whoever is written to refuse such a holder.

        Args:
            thread_id: The thread.
            ttl: Seconds (or a timedelta), from 1 s to 7 days, for which it holds without being renewed.
                Others can take it over 2 s later.
            wait: Seconds (or a timedelta) for which to try to get it; `math.inf` is for ever.
            holder: Who you are, for those who are kept out. Default: host and process id.
            auto_renew: Renew it in the background at each third of `ttl`.

        Returns:
            The lease, which `with` takes and releases. If it was lost meanwhile, leaving the `with`
            raises a `ConflictError`.

        Raises:
            InvalidKeyError: The thread_id is empty or too long.
            InvalidConfigError: A value is out of range.
            ConflictError: On entering: somebody else holds it.
            NotSupportedError: On entering: the store ignores conditional writes.
        """
        from langgraph_checkpoint_s3.lease import Lease  # by few processes
        from langgraph_checkpoint_s3.lease_settings import LeaseSettings

        terms = LeaseSettings.of(ttl, wait, holder, auto_renew)
        name = thread_name(thread_id)
        return Lease(self._store, self._layout.lease(name), name, terms, self._now)

    def alease(
        self,
        thread_id: str,
        *,
        ttl: float | timedelta = 60.0,
        wait: float | timedelta = 0.0,
        holder: str | None = None,
        auto_renew: bool = True,
    ) -> Lease:
        """`lease`, for `async with`: a task of the loop renews it, so don't block the loop for long."""
        return self.lease(thread_id, ttl=ttl, wait=wait, holder=holder, auto_renew=auto_renew)

    @property
    def internals(self) -> tuple[Store, Context]:
        """Where its plans run, and what they are given. For this package's admin module alone."""
        return self._store, self._context()

    @property
    def clock(self) -> Callable[[], int]:
        """The time in ns since 1970 by the store's clock, never twice the same. For the admin alone."""
        return self._now

    def _context(self) -> Context:
        # Made for each call: `with_allowlist` clones the saver with another serializer.
        return Context(
            self._layout,
            self.serde,
            self.config.compression,
            self._sizes,
            _WRITER,
            self._rules,
            ParentCache(self._store.saver_state.states, self._store.saver_state.cache),
            self.config.borrow,
            self._vault,
            self.config.place,
        )

    def _setup(self) -> Plan[bool]:
        from langgraph_checkpoint_s3.plans import setup  # once in a bucket's life

        return setup.setup(self.config.prefix, uuid.uuid4().hex, versioning=self.config.versioning)

    def _note_conditional(self, honoured: bool) -> None:
        if not honoured:
            self._store.saver_state.without_conditions()


def _vault(config: S3Config, encryption: KeyProvider | None) -> KeyCache | None:
    """Where the saver's keys are, if it has any."""
    if encryption is None:
        if config.require_encryption or config.private_keys:
            raise InvalidConfigError(
                "require_encryption and private_keys need keys: pass S3Saver(…, encryption=KeyRing(…))."
            )
        return None
    from langgraph_checkpoint_s3.crypto.provider import KeyProvider  # for those who encrypt alone

    if not isinstance(encryption, KeyProvider):
        raise InvalidConfigError(
            f"encryption={type(encryption).__name__}(…) is no key provider: pass a KeyRing, KmsKeys, or a "
            "KeyProvider of your own."
        )
    derive_key(bytes(SECRET_BYTES), "check")  # that the library is there
    return KeyCache(encryption, required=config.require_encryption or config.private_keys)


def _names(config: S3Config, encryption: KeyProvider | None) -> NameHasher | None:
    """How names are hashed in the bucket's keys, if they are."""
    if not config.private_keys or encryption is None:
        return None
    secret = encryption.names_key()
    if secret is None:
        raise InvalidConfigError(
            "private_keys=True needs a key to hash names with: give the key provider a names_key. It can "
            "never be changed for a prefix: with another one, nothing is found."
        )
    return NameHasher(derive_key(secret, "names"))


def _split(keywords: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The saver's own keywords, and the settings.

    Raises:
        InvalidConfigError: There is no such keyword.
    """
    if "config" in keywords:
        raise InvalidConfigError(
            "config doesn't go with from_conn_string or from_env; use S3Saver(config=…)."
        )
    known = _OWN_KEYWORDS | {setting.name for setting in fields(S3Config)}
    for name in keywords:
        if name not in known:
            raise unknown_setting(name, known)
    return (
        {name: value for name, value in keywords.items() if name in _OWN_KEYWORDS},
        {name: value for name, value in keywords.items() if name not in _OWN_KEYWORDS},
    )
