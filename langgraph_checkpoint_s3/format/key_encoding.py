"""Any text as a part of a key: letters that no store, SDK or URL changes."""

from __future__ import annotations

import re
from typing import Final

from langgraph_checkpoint_s3.errors import InvalidKeyError

HASHED: Final = ".h"
"""What a hash begins with in a key; no encoded name does."""

_ESCAPED: Final = [
    chr(byte) if re.match(r"[A-Za-z0-9_-]", chr(byte)) else f".{byte:02X}" for byte in range(256)
]
COMPONENT: Final = r"(?:[A-Za-z0-9_-]|\.[0-9A-F]{2})*"
"""What `encode_component` gives, as a regular expression."""
_COMPONENT: Final = re.compile(COMPONENT)
_ESCAPE: Final = re.compile(r"\.([0-9A-F]{2})")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]*")


class HashedName(str):
    """A name of which only the hash is known. It goes wherever a name goes."""

    __slots__ = ()


def encode_component(text: str, what: str = "component") -> str:
    """Write any text with the characters that a key may safely hold.

    Args:
        text: Any text that has a UTF-8 form.
        what: What the text is, for the error.

    Returns:
        An injective encoding of it: `a/b` becomes `a.2Fb`.

    Raises:
        InvalidKeyError: The text holds a lone surrogate and so has no UTF-8 form.
    """
    if isinstance(text, HashedName):
        return HASHED + text
    if _PLAIN.fullmatch(text):
        return text
    return "".join([_ESCAPED[byte] for byte in utf8(text, what)])


def decode_component(encoded: str) -> str:
    """Turn `encode_component`'s answer back into the text.

    Raises:
        ValueError: The text isn't an encoding.
    """
    if "." not in encoded and _PLAIN.fullmatch(encoded):
        return encoded
    if encoded.startswith(HASHED) and _PLAIN.fullmatch(encoded, len(HASHED)):
        return HashedName(encoded[len(HASHED) :])
    if not _COMPONENT.fullmatch(encoded):
        raise ValueError(f"{encoded!r} is not an encoded component")
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), encoded).encode("latin-1")
    text = raw.decode("utf-8")
    if encode_component(text) != encoded:  # one text has one spelling only
        raise ValueError(f"{encoded!r} is not an encoded component")
    return text


def utf8(text: str, what: str) -> bytes:
    """A text's bytes.

    Raises:
        InvalidKeyError: It holds a lone surrogate.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidKeyError(
            f"The {what} {text!r} holds a lone surrogate, which has no UTF-8 form and so can't be in a key."
        ) from error
