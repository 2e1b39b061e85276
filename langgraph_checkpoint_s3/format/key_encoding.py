"""Encoding of text as a part of a key, with characters that no store, SDK or URL changes."""

from __future__ import annotations

import re
from typing import Final

from langgraph_checkpoint_s3.errors import InvalidKeyError

HASHED: Final = ".h"
"""Prefix of a hash in a key. No encoded text begins so."""

COMPONENT: Final = r"(?:[A-Za-z0-9_-]|\.[0-9A-F]{2})*"
"""Regular expression for what `encode_component` returns."""
_COMPONENT: Final = re.compile(COMPONENT)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]*")
_ESCAPE: Final = re.compile(r"\.([0-9A-F]{2})")
_ESCAPED: Final = [chr(byte) if _PLAIN.fullmatch(chr(byte)) else f".{byte:02X}" for byte in range(256)]


class HashedName(str):
    """A name of which only the hash is known. It is accepted wherever a name is."""

    __slots__ = ()


def encode_component(text: str, kind: str = "component") -> str:
    """Encode any text, injectively, with characters that are safe in a key: `a/b` becomes `a.2Fb`.

    Raises:
        InvalidKeyError: The text holds a lone surrogate and so has no UTF-8 form.
    """
    if isinstance(text, HashedName):
        return HASHED + text
    if _PLAIN.fullmatch(text):
        return text
    return "".join([_ESCAPED[byte] for byte in utf8(text, kind)])


def decode_component(encoded: str) -> str:
    """Decode what `encode_component` returned.

    Raises:
        ValueError: The text isn't such an encoding.
    """
    if "." not in encoded and _PLAIN.fullmatch(encoded):
        return encoded
    if encoded.startswith(HASHED) and _PLAIN.fullmatch(encoded, len(HASHED)):
        return HashedName(encoded[len(HASHED) :])
    if not _COMPONENT.fullmatch(encoded):
        raise ValueError(f"{encoded!r} is not an encoded component")
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), encoded).encode("latin-1")
    text = raw.decode("utf-8")
    if encode_component(text) != encoded:  # a text has one encoding only: `.41` isn't one of "A"
        raise ValueError(f"{encoded!r} is not an encoded component")
    return text


def utf8(text: str, kind: str) -> bytes:
    """Return a text's bytes.

    Raises:
        InvalidKeyError: It holds a lone surrogate.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidKeyError(
            f"The {kind} {text!r} holds a lone surrogate, which has no UTF-8 form and so can't be in a key."
        ) from error
