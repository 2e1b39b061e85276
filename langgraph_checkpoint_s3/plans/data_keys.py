"""Requests to the key provider: the key to write with, and the keys of objects that were read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, TypeVar, cast

from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.crypto.provider import DataKey, KeyProvider, KeyRef
from langgraph_checkpoint_s3.errors import DecryptionError, S3CheckpointError
from langgraph_checkpoint_s3.format.container import object_key_ref
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.s3.driver import Ended, advance
from langgraph_checkpoint_s3.s3.requests import Attempted, Body, Call, Failure, NotFound

T = TypeVar("T")


def key_to_write(context: Context) -> Plan[KeyRef | None]:
    """Return the key to encrypt with; `None` if the saver doesn't encrypt."""
    if context.key_cache is None:
        return None
    key = context.key_cache.current
    if key is None:
        key = yield from ask(Call(partial(_current, context.key_cache.provider)))
        context.key_cache.add(key, current=True)
    return key.ref


def unlock(context: Context, bodies: Iterable[Body | NotFound]) -> Plan[None]:
    """Fetch the keys of objects, given them or their beginnings, into the key cache.

    If the provider lacks a key, opening its object fails with the reason.
    """
    if context.key_cache is not None:
        found = (body.data for body in bodies if isinstance(body, Body))
        yield from unlock_objects(context.key_cache, found)


def unlock_objects(key_cache: KeyCache, objects: Iterable[bytes]) -> Plan[None]:
    """Fetch the keys of objects into the key cache, given the objects or their beginnings."""
    refs = (object_key_ref(data) for data in objects)
    yield from unlock_keys(key_cache, (ref for ref in refs if ref is not None))


def unlock_keys(key_cache: KeyCache, refs: Iterable[KeyRef]) -> Plan[None]:
    """Fetch keys into the key cache. For a key that isn't available, the cache keeps the reason."""
    lacking = key_cache.missing(refs)
    answers = yield from ask_all(
        Attempted(Call(partial(_unlocked, key_cache.provider, ref))) for ref in lacking
    )
    for ref, answer in zip(lacking, answers, strict=True):
        if not isinstance(answer, Failure):
            key_cache.add(answer)
        elif isinstance(answer.error, DecryptionError):
            key_cache.add_failure(ref, answer.error.reason)
        else:
            raise answer.error


def run_calls(plan: Plan[T]) -> T:
    """Run a plan that only asks for keys, in this thread."""
    answers: list[Any] | None = None
    while not isinstance(step := advance(plan, answers), Ended):
        answers = []
        for request in step:
            try:
                call: Any = request.request if isinstance(request, Attempted) else request
                answers.append(call.function())
            except S3CheckpointError as error:
                if not isinstance(request, Attempted):
                    raise
                answers.append(Failure(error))
    return cast("T", step.result)


def _current(provider: KeyProvider) -> DataKey:
    try:
        return provider.current()
    except S3CheckpointError:
        raise
    except Exception as error:
        raise DecryptionError(
            f"The key provider gave no key to write with ({type(error).__name__}); nothing was written"
        ) from error


def _unlocked(provider: KeyProvider, ref: KeyRef) -> DataKey:
    try:
        return DataKey(ref, provider.unlock(ref))
    except S3CheckpointError:
        raise
    except Exception as error:
        raise DecryptionError(f"the key provider has no key {ref.id!r} ({type(error).__name__})") from error
