"""Blob references: found wherever they stand, never where they do not, and given a fetch_url on the way out."""

import copy
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blobstore.digest import Digest
from records.errors import Invalid
from records.model import Link
from records.writing import links
from records.writing.links import BlobRef

HEX = "0123456789abcdef" * 4
ID, ALIAS = "blob_b3_" + HEX, "blob_sha256_" + HEX
REF = {"blob_id": ID, "mime_type": "image/png", "size_bytes": 3, "sha256": HEX}

member_names = st.sampled_from(["blob_ref", "a/b", "m~n", "", "é", "files", "title", "x"]) | st.text(max_size=5)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(member_names, inner, max_size=3),
    max_leaves=10,
)


def resolve(data: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        data = data[int(name)] if isinstance(data, list) else data[name]
    return data


def references_in(data: Any) -> list[int]:
    """Every reference by identity, found the slow and obvious way."""
    found = [id(data)] if isinstance(data, dict) and links.is_reference(data) else []
    children = data.values() if isinstance(data, dict) else data if isinstance(data, list) else []
    return found + [each for child in children for each in references_in(child)]


def test_a_top_level_reference_is_found() -> None:
    (found,) = links.find({"id": "f1", "blob_ref": REF})
    assert found == BlobRef("/blob_ref", ID, "image/png", None)


def test_a_reference_becomes_the_link_to_its_blob() -> None:
    found = BlobRef("/blob_ref", ID, "image/png", "a.png")
    assert found.digest == Digest(HEX)
    assert found.link(Digest(HEX), 7) == Link(Digest(HEX), "/blob_ref", "image/png", "a.png", 7)


def test_an_alias_is_found_and_left_to_the_caller() -> None:
    (found,) = links.find({"blob_ref": {"blob_id": ALIAS}})
    assert (found.digest, found.sha256) == (None, bytes.fromhex(HEX))
    assert BlobRef("", ID, "x/y", None).sha256 is None


def test_a_long_name_costs_its_length_once_however_many_children_it_has() -> None:
    data: dict[str, list[object]] = {"n" * (1 << 20): [{} for _ in range(20_000)] + [REF]}
    tracemalloc.start()
    (found,) = links.find(data)
    assert found.pointer.endswith("n/20000")
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_pointers_beyond_what_a_line_may_have_are_refused() -> None:
    with pytest.raises(Invalid) as raised:
        links.find({"n" * (1 << 20): [REF] * 17})
    assert raised.value.code == "invalid_record"


def test_references_are_found_under_any_name_at_any_depth_in_order() -> None:
    data = {"files": [{"blob_ref": REF}, {"thumb": {"small": REF}}], "a/b~c": REF, "0": [[REF]]}
    assert [each.pointer for each in links.find(data)] == [
        "/files/0/blob_ref",
        "/files/1/thumb/small",
        "/a~1b~0c",
        "/0/0/0",
    ]


def test_the_record_itself_may_be_the_reference() -> None:
    assert [each.pointer for each in links.find(REF)] == [""]


def test_a_reference_inside_a_reference_is_found_too() -> None:
    assert [each.pointer for each in links.find({"a": {**REF, "preview": REF}})] == ["/a", "/a/preview"]


@pytest.mark.parametrize(
    "blob_id", ["blob_b3_" + HEX[:-1], ID.upper(), "x" + ID, ID + "\n", HEX, "", 7, None, [ID], "blob_b3_" + HEX + "0"]
)
def test_any_other_blob_id_is_no_reference_but_an_error_under_blob_ref(blob_id: object) -> None:
    assert links.find({"other": {"blob_id": blob_id}}) == []
    with pytest.raises(Invalid, match="/files/0/blob_ref names no blob") as raised:
        links.find({"files": [{"blob_ref": {"blob_id": blob_id}}]})
    assert raised.value.code == "blob_not_stored"


def test_a_blob_ref_without_an_id_is_an_error_and_without_an_object_is_none() -> None:
    with pytest.raises(Invalid):
        links.find({"blob_ref": {}})
    for value in (None, "later", [], [REF], 7):
        assert len(links.find({"blob_ref": value})) == (1 if value == [REF] else 0)


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ("Image/PNG; charset=x", "image/png"),
        ("application/vnd.ms-excel", "application/vnd.ms-excel"),
        ("no type", "application/octet-stream"),
        ("", "application/octet-stream"),
        (None, "application/octet-stream"),
        (7, "application/octet-stream"),
    ],
)
def test_the_media_type_is_normalised_or_unknown(declared: object, kept: str) -> None:
    assert links.find({"blob_ref": {**REF, "mime_type": declared}})[0].media_type == kept
    assert links.find({"blob_ref": {"blob_id": ID}})[0].media_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        ({"blob_ref": REF, "title": "t", "name": "n"}, "n"),
        ({"blob_ref": REF, "filename": 7, "file_name": "", "title": "t"}, "t"),
        ({"name": "root", "files": [{"name": "inner", "blob_ref": REF}]}, "inner"),
        ({"name": "root", "files": [{"blob_ref": REF}]}, "root"),
        ({"name": "root", "files": [REF]}, "root"),
        ({"name": "root", "files": [{**REF, "title": "own"}]}, "own"),
        ({"name": "root", "a": {"name": "between", "b": {"blob_ref": REF}}}, "root"),
        ({"blob_ref": REF, "name": "é" * 300}, "é" * 255),
        ({"blob_ref": REF}, None),
    ],
)
def test_the_filename_is_the_nearest(data: dict[str, Any], filename: str | None) -> None:
    assert [each.filename for each in links.find(data)] == [filename]


def test_depth_is_no_limit() -> None:
    data: Any = {"blob_ref": REF}
    for _ in range(5000):
        data = {"x": [data]}
    (found,) = links.find(data)
    assert found.pointer == "/x/0" * 5000 + "/blob_ref"
    assert links.without_fetch_urls(data) is data
    links.with_fetch_urls(data)


def test_no_number_of_links_is_cut_off() -> None:
    assert len(links.find({"files": [REF] * 20_000})) == 20_000


@settings(deadline=None)
@given(plain, st.data())
def test_every_pointer_leads_to_its_reference_and_none_is_missed(data: Any, draw: st.DataObject) -> None:
    data = {"root": planted(data, draw)}
    try:
        found = links.find(data)
    except Invalid:
        return  # an object under blob_ref that is none
    assert [id(resolve(data, each.pointer)) for each in found] == references_in(data)
    fetched = links.with_fetch_urls(data)
    assert [resolve(fetched, each.pointer)["fetch_url"] for each in found] == ["/v1/blobs/" + ID] * len(found)
    assert links.without_fetch_urls(fetched) == data


def planted(data: Any, draw: st.DataObject) -> Any:
    if isinstance(data, dict):
        inner = {name: planted(child, draw) for name, child in data.items()}
        return {**inner, "blob_id": ID} if draw.draw(st.booleans()) else inner
    return [planted(child, draw) for child in data] if isinstance(data, list) else data


def test_fetch_urls_come_and_go_without_touching_the_argument() -> None:
    data = {"a": [{"blob_ref": dict(REF)}], "fetch_url": "kept", "b": {"fetch_url": "kept"}}
    before = copy.deepcopy(data)
    fetched: Any = links.with_fetch_urls(data)
    assert data == before
    assert fetched["a"][0]["blob_ref"] == {**REF, "fetch_url": "/v1/blobs/" + ID}
    assert links.without_fetch_urls(fetched) == before
    assert fetched["a"][0]["blob_ref"]["fetch_url"]
    assert links.without_fetch_urls(data) is data


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({"blob_ref": REF}).encode(),
        rb'{"blob\u005fid": 1}',
        rb'{"\u0062lob_ref": 1}',
        b'{"x": {"blob_id": null}}',
    ],
)
def test_a_text_that_may_hold_a_reference_is_looked_into(raw: bytes) -> None:
    assert links.may_hold(raw, b"blob_")


def test_a_text_that_surely_holds_none_is_not() -> None:
    assert not links.may_hold(json.dumps({"text": "a blob of é\n"}).encode(), b"blob_")


@given(st.dictionaries(st.sampled_from(["blob_id", "blob_ref", "blo", "x"]), st.integers()), st.data())
def test_no_spelling_of_a_name_is_overlooked(data: dict[str, int], draw: st.DataObject) -> None:
    def spelled(name: str) -> str:
        return "".join(f"\\u{ord(each):04x}" if draw.draw(st.booleans()) else each for each in name)

    raw = "{" + ",".join(f'"{spelled(name)}":{value}' for name, value in data.items()) + "}"
    assert json.loads(raw) == data
    if any(name.startswith("blob_") for name in data):
        assert links.may_hold(raw.encode(), b"blob_")


@pytest.mark.parametrize(
    ("pointer", "field"),
    [("/blob_ref", "blob_ref"), ("/files/0/blob_ref", "files"), ("/a~1b~0c/x", "a/b~c"), ("/", ""), ("", "blob_id")],
)
def test_the_top_field_is_what_a_grant_names(pointer: str, field: str) -> None:
    assert links.top_field(pointer) == field


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("text/plain", "text/plain"),
        ("TEXT/Plain; charset=UTF-8", "text/plain"),
        (" text/html ;x", "text/html"),
        ("application/x!#$&-^_.+~", "application/x!#$&-^_.+~"),
        ("a" * 127 + "/" + "b" * 127, "a" * 127 + "/" + "b" * 127),
    ],
)
def test_a_media_type_loses_its_parameters_and_case(text: str, kept: str) -> None:
    assert links.media_type(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        *("", "text", "text/", "/plain", "text/plain/x", "te xt/plain", "text/plain x", "täxt/plain", "text\n/plain"),
        *("text/pl\0ain", "a" * 128 + "/b", "text/plain\r\nX: y", "text/(plain)"),
    ],
)
def test_what_is_no_media_type_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as raised:
        links.media_type(text)
    assert (raised.value.code, raised.value.param) == ("invalid_request", "mime_type")
