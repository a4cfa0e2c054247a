"""`bundle.json`: what a bundle is made of, and who says so. No I/O."""

from collections.abc import Mapping

import msgspec

from blobstore.digest import Content
from records import jsontext
from records.audit.heads import Embedded
from records.errors import BadBag
from records.signing import NotGenuine, SignedDocument, Signer

KIND, VERSION = "connector_bundle", 1


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the bundle by its digest."""

    blake3: str
    bytes: int

    @classmethod
    def of(cls, content: Content) -> "File":
        """The member of a file."""
        return cls(content.digest.hex, content.size)


class Document(Embedded, frozen=True):
    """What is signed. `bag` is the bag's name, a digest of all that is in it; the rest as `records.audit.heads`."""

    kind: str
    version: int
    connector: str
    bag: str
    spine: File


def of(embedded: Mapping[str, object], connector: str, bag: str, spine: File) -> Document:
    """The document of a bundle; `embedded` as `records.audit.heads.members`."""
    said = {**embedded, "kind": KIND, "version": VERSION, "connector": connector, "bag": bag}
    return msgspec.convert({**said, "spine": msgspec.to_builtins(spine)}, Document)


def make(signer: Signer, document: Document) -> bytes:
    """Its text, signed."""
    return jsontext.canonical(signer.sign(msgspec.to_builtins(document))) + b"\n"


def read(text: bytes, public_key: str | None) -> tuple[Document, str]:
    """The document of a text, and whose signature it has. Raises `BadBag`; also for another key than `public_key`."""
    try:
        signed = SignedDocument.verify(text, public_key)
        document = msgspec.convert(dict(signed.content), Document)
    except (NotGenuine, msgspec.ValidationError) as error:
        raise BadBag(f"bundle.json: {error}") from None
    if (document.kind, document.version) != (KIND, VERSION):
        raise BadBag("bundle.json is a signed document, but not of a bundle that is known here")
    return document, signed.public_key
