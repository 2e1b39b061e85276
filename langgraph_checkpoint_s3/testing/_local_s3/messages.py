"""Requests, answers, errors and XML documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

_XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"


class Refused(Exception):  # noqa: N818  # S3's own code says what is wrong
    """A request that is answered with an error.

    Args:
        status: The HTTP status.
        code: S3's error code.
        message: What is wrong.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message or code)
        self.status, self.code, self.headers = status, code, headers or {}


class Request(NamedTuple):
    """A request.

    Attributes:
        method: The HTTP method.
        bucket: The bucket; empty for the list of buckets.
        key: The key; empty for requests about the bucket.
        query: The query's parameters.
        headers: The headers, by their names in lower case.
        body: The body.
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """An answer: its status, headers, and body in blocks."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: Iterable[bytes] = ()


def error(refused: Refused) -> Answer:
    """Return the answer with S3's error document."""
    document = _element("Error", [("Code", refused.code), ("Message", str(refused))])
    return Answer(refused.status, {"Content-Type": "application/xml", **refused.headers}, [document.encode()])


def xml(root: str, elements: Iterable[tuple[str, Any]], headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer with a document. An element's value is a text, a number, or a list of elements."""
    document = _element(root, elements, f' xmlns="{_XMLNS}"')
    return Answer(200, {"Content-Type": "application/xml", **(headers or {})}, [document.encode()])


def _element(name: str, value: Any, attributes: str = "") -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, (str, int)):
        content = escape(str(value), {"\r": "&#13;"})
    else:
        content = "".join(_element(*child) for child in value)
    return f"<{name}{attributes}>{content}</{name}>"


def parse_xml(document: bytes) -> ET.Element:
    """Parse a request's document, and take the namespaces off its names.

    Raises:
        Refused: It isn't XML.
    """
    try:
        root = ET.fromstring(document)  # noqa: S314  # expat limits the expansion of entities
    except ET.ParseError:
        raise Refused(400, "MalformedXML", "The body isn't XML") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
