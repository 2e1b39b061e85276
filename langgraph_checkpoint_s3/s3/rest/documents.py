"""S3's XML documents: those that are sent, and those that come back. Pure.

What is read has the names and types that botocore gives it, so that both transports have the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from langgraph_checkpoint_s3.s3.answer_checks import InvalidResponse
from langgraph_checkpoint_s3.s3.timestamps import parse_timestamp

Fields: TypeAlias = "dict[str, Any]"

_XMLNS: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_LINE_ENDS: Final = {"\r": "&#xD;", "\n": "&#xA;"}


def delete_document(objects: Iterable[Mapping[str, str]]) -> bytes:
    """Return the document that names the objects to delete."""
    lines = [
        f"<Object><Key>{escape(each['Key'], _LINE_ENDS)}</Key>{_etag_element(each)}</Object>"
        for each in objects
    ]
    return f"<Delete {_XMLNS}>{''.join(lines)}</Delete>".encode()


def _etag_element(item: Mapping[str, str]) -> str:
    return f"<ETag>{escape(item['ETag'])}</ETag>" if "ETag" in item else ""


def parts_document(parts: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the document that names an upload's parts."""
    lines = [
        f"<Part><ETag>{escape(part['ETag'])}</ETag><PartNumber>{part['PartNumber']}</PartNumber></Part>"
        for part in parts
    ]
    return f"<CompleteMultipartUpload {_XMLNS}>{''.join(lines)}</CompleteMultipartUpload>".encode()


class ErrorDocument(Exception):  # noqa: N818  # mapped where it is caught
    """A document that is S3's error.

    Attributes:
        details: Its fields.
    """

    def __init__(self, details: Fields) -> None:
        super().__init__(details.get("Code"))
        self.details = details


def read_document(body: bytes, root: str) -> Fields:
    """Read a document.

    Its root may have another name than S3's: rclone's answer to CreateMultipartUpload has. The translator
    checks that the fields are there which S3's answer always has.

    Args:
        body: The document.
        root: The name of the root element in S3's.

    Raises:
        ErrorDocument: It is an error. S3 may find only after it has sent the status that it can't copy, or
            complete an upload.
        InvalidResponse: It isn't XML, or can't be parsed.
    """
    element = _parse(body)
    if _name(element.tag) == "Error":
        raise ErrorDocument(_text_fields(element))
    return _READERS[root](element)


def read_error(body: bytes) -> Fields:
    """Return the details of an error's document; none if it isn't S3's, or there is none."""
    try:
        element = _parse(body)
    except InvalidResponse:
        return {}
    return _text_fields(element) if _name(element.tag) == "Error" else {}


def _parse(body: bytes) -> ET.Element:
    try:
        return ET.fromstring(body)  # noqa: S314  # expat limits the expansion of entities
    except (ET.ParseError, ValueError, LookupError) as error:  # the last is of an unknown encoding
        raise InvalidResponse("it can't be parsed") from error


def _name(tag: str) -> str:
    """Return an element's name without its namespace, which some stores leave out."""
    return tag.rpartition("}")[2]


def _text_fields(element: ET.Element) -> Fields:
    return {_name(child.tag): child.text or "" for child in element}


def _read_listing(root: ET.Element) -> Fields:
    space = root.tag[: len(root.tag) - len(_name(root.tag))]
    fields: Fields = {}
    contents: list[Fields] = []
    prefixes: list[Fields] = []
    contents_tag, prefixes_tag = f"{space}Contents", f"{space}CommonPrefixes"
    for child in root:
        if child.tag == contents_tag:
            contents.append(_text_fields(child))
        elif child.tag == prefixes_tag:
            prefixes.append(_text_fields(child))
        else:
            fields[_name(child.tag)] = child.text or ""
    try:
        _convert(fields, "IsTruncated", _boolean)
        _convert(fields, "KeyCount", int)
        _convert(fields, "MaxKeys", int)
        for item in contents:
            _convert(item, "Size", int)
            _convert(item, "LastModified", parse_timestamp)
    except (ValueError, RuntimeError, OverflowError) as error:  # the latter two of botocore's times
        raise InvalidResponse("it can't be parsed") from error
    if fields.get("EncodingType") == "url":
        for item in contents:
            _convert(item, "Key", unquote_plus)
        for item in prefixes:
            _convert(item, "Prefix", unquote_plus)
    # A missing token isn't an empty one.
    if not fields.get("NextContinuationToken"):
        fields.pop("NextContinuationToken", None)
    if contents:
        fields["Contents"] = contents
    if prefixes:
        fields["CommonPrefixes"] = prefixes
    return fields


def _read_deletion(root: ET.Element) -> Fields:
    fields: Fields = {}
    for child in root:
        name = _name(child.tag)
        if name in ("Deleted", "Error"):
            fields.setdefault("Deleted" if name == "Deleted" else "Errors", []).append(_text_fields(child))
    return fields


def _convert(fields: Fields, name: str, convert: Callable[[str], Any]) -> None:
    if name in fields:
        fields[name] = convert(fields[name])


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


_READERS: Final[Mapping[str, Callable[[ET.Element], Fields]]] = {
    "ListBucketResult": _read_listing,
    "DeleteResult": _read_deletion,
    "CopyObjectResult": lambda root: {"CopyObjectResult": _text_fields(root)},
    "InitiateMultipartUploadResult": _text_fields,
    "CompleteMultipartUploadResult": _text_fields,
}
