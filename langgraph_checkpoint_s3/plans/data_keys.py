"""Asks the key provider for what is about to be needed: the key to write with, and those of what was read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, TypeVar

from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.crypto.provider import DataKey, KeyProvider, KeyRef
from langgraph_checkpoint_s3.errors import DecryptionError, S3CheckpointError
from langgraph_checkpoint_s3.format.container import object_key_ref
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.s3.requests import Attempted, Body, Call, Failure, NotFound

T = TypeVar("T")


def key_to_write(context: Context) -> Plan[KeyRef | None]:
    """The key to encrypt with; `None` where nothing is encrypted."""
    if context.key_cache is None:
        return None
    key = context.key_cache.current
    if key is None:
        key = yield from ask(Call(partial(_current, context.key_cache.provider)))
        context.key_cache.add(key, current=True)
    return key.ref


def unlock(context: Context, bodies: Iterable[Body | NotFound]) -> Plan[None]:
    """Have the keys at hand that objects need, those at least that can be had.

    Args:
        context: The saver's.
        bodies: What was read of them, from their beginnings on.
    """
    if context.key_cache is not None:
        found = (body.data for body in bodies if isinstance(body, Body))
        yield from unlock_objects(context.key_cache, found)


def unlock_objects(key_cache: KeyCache, objects: Iterable[bytes]) -> Plan[None]:
    """Have the keys of objects at hand, of which there are at least the beginnings."""
    refs = (object_key_ref(data) for data in objects)
    yield from unlock_keys(key_cache, (ref for ref in refs if ref is not None))


def unlock_keys(key_cache: KeyCache, refs: Iterable[KeyRef]) -> Plan[None]:
    """Have keys at hand, those at least that can be had: who needs another one is told why it isn't there."""
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
    """Run a plan that asks for keys alone, here and now."""
    answers: list[Any] | None = None
    while True:
        try:
            batch: Any = next(plan) if answers is None else plan.send(answers)
        except StopIteration as stop:
            found: T = stop.value
            return found
        answers = []
        for request in batch:
            try:
                call: Any = request.request if isinstance(request, Attempted) else request
                answers.append(call.function())
            except S3CheckpointError as error:
                if not isinstance(request, Attempted):
                    raise
                answers.append(Failure(error))


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
