"""Ingest lines: cut the same however they arrive, each judged by itself, data kept byte for byte."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records import jsontext, manifest
from records.history import same_content
from records.manifest import StreamDeclaration
from records.model import Delete, Link
from records.writing import lines
from records.writing.lines import Line, ParsedPut, Rejected, Splitter, TooLong, parse_line

AT = "2026-11-23T10:00:00Z"
HEX = "0123456789abcdef" * 4
ID = "blob_b3_" + HEX


def declared(*primary_key: str, cursor_field: str | None = "at") -> StreamDeclaration:
    names = {*primary_key, "id", "at"}
    stream = {
        "name": "files",
        "semantics": "mutable_state",
        "schema": {"type": "object", "properties": {name: {} for name in names}},
        "primary_key": list(primary_key or ["id"]),
        "cursor_field": cursor_field,
    }
    text = json.dumps({"connector_id": "slack", "version": "1", "display_name": "Slack", "streams": [stream]})
    return manifest.decode(text.encode()).streams["files"]


FILES = declared()


def line(data: bytes | str = b'{"id":"k"}', **members: object) -> bytes:
    envelope = {"key": "k", "emitted_at": AT, **members}
    text = data.encode() if isinstance(data, str) else data
    return json.dumps(envelope).encode()[:-1] + b', "data": ' + text + b"}"


def put(data: bytes | str = b'{"id":"k"}', declaration: StreamDeclaration = FILES, **members: object) -> ParsedPut:
    parsed = parse_line(line(data, **members), declaration)
    assert isinstance(parsed, ParsedPut)
    return parsed


def rejection(raw: bytes, declaration: StreamDeclaration = FILES) -> Rejected:
    with pytest.raises(Rejected) as raised:
        parse_line(raw, declaration)
    assert raised.value.message == str(raised.value) != ""
    return raised.value


def code(raw: bytes, declaration: StreamDeclaration = FILES) -> str:
    return rejection(raw, declaration).code


def split(*pieces: bytes) -> list[Line]:
    splitter = Splitter()
    return [each for piece in pieces for each in splitter.feed(piece)] + list(splitter.finish())


# -- splitting -----------------------------------------------------------------------------------------------------


def test_lines_end_with_lf_crlf_or_the_body() -> None:
    assert [each.raw for each in split(b"a\nb\r\nc")] == [b"a", b"b", b"c"]
    assert [each.raw for each in split(b"a\nb\n")] == [b"a", b"b"]
    assert split(b"") == split() == []


def test_blank_lines_count_as_lines_but_have_no_index() -> None:
    assert split(b"\n \t\r\na\n\r\n\nb") == [Line(3, 0, b"a"), Line(6, 1, b"b")]


def test_a_carriage_return_inside_a_line_stays() -> None:
    assert [each.raw for each in split(b"a\rb\r\r\n")] == [b"a\rb\r"]


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b" ", b"{}", b"\xff"]), max_size=30), st.data())
def test_any_cutting_gives_the_same_lines(parts: list[bytes], data: st.DataObject) -> None:
    body = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    expected = [raw.removesuffix(b"\r") for raw in body.split(b"\n")]
    found = split(*pieces)
    assert found == split(body)
    assert [(each.number, each.raw) for each in found] == [
        (number, raw) for number, raw in enumerate(expected, 1) if raw.strip(b" \t\r\n\x0b\x0c")
    ]
    assert [each.index for each in found] == list(range(len(found)))


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_a_line_that_is_too_long_stops_the_rest_and_nothing_before(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 10)
    body = b"a\n\n0123456789\nb\n01234567890\nc\n"
    splitter = Splitter()
    found: list[bytes] = []
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    with pytest.raises(TooLong) as raised:
        found.extend(each.raw for piece in pieces for each in splitter.feed(piece))
    assert found == [b"a", b"0123456789", b"b"]
    assert (raised.value.number, raised.value.index) == (5, 3)


def test_a_line_without_an_end_is_refused_before_it_is_all_there() -> None:
    splitter = Splitter()
    for _ in range(16):
        assert list(splitter.feed(b"x" * (1 << 20))) == []
    with pytest.raises(TooLong):
        list(splitter.feed(b"x"))


# -- what is kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"id":"k"}',
        '{ "id" :\t"k" , "b" : [ ] }',
        '{"id":"k","big":123456789012345678901234567890,"neg":-9007199254740993}',
        '{"id":"k","f":[1.0,1.10,1e2,1E+2,-0.0,0.1000000000000000055511151231257827]}',
        '{"id":"k","nul":"\\u0000","raw":"\u007f\u2028","four":"\U0001f600","pair":"\\ud83d\\ude00"}',
        '{"z":1,"id":"\\u006b","a":"\\/"}',
        '{"id":"k","":{"":[null,true,false]}}',
    ],
)
def test_data_is_kept_byte_for_byte(text: str) -> None:
    assert put(text).data == text.encode()


def test_data_as_deep_as_the_limit_is_kept_and_deeper_is_refused() -> None:
    def nested(levels: int) -> str:
        return '{"id":"k","x":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"

    assert put(nested(jsontext.MAX_DEPTH)).data == nested(jsontext.MAX_DEPTH).encode()
    for levels in (jsontext.MAX_DEPTH + 1, 990, 5000, 100_000):
        assert code(line(nested(levels))) == "invalid_record"
    wide = '{"id":"k","x":[' + ",".join(["[]"] * 5000) + "]}"
    assert put(wide).data == wide.encode()


def test_unknown_members_of_the_line_are_ignored() -> None:
    assert put(stream="other", run_id=7, x={"deep": [1]}).key == "k"


@pytest.mark.parametrize("op", ["upsert", None])
def test_an_upsert_needs_no_op(op: str | None) -> None:
    assert put(op=op) == put()


def test_members_may_stand_in_any_order_and_spacing() -> None:
    raw = f' {{ "op" : "upsert",\t"data": {{"id":"k"}} , "emitted_at":"{AT}", "key":"k" }} '.encode()
    assert parse_line(raw, FILES) == put()


def test_a_parsed_put_becomes_a_put_with_its_links() -> None:
    parsed = put('{"id":"k","blob_ref":{"blob_id":"§"}}'.replace("§", ID))
    digest = parsed.refs[0].digest
    assert digest is not None
    made = parsed.put((parsed.refs[0].link(digest, 9),))
    assert made.links == (Link(digest, "/blob_ref", "application/octet-stream", None, 9),)
    assert (made.key, made.sort, made.data, made.emitted_at) == (
        parsed.key,
        parsed.sort,
        parsed.data,
        parsed.emitted_at,
    )


# -- the key -------------------------------------------------------------------------------------------------------


def test_keys_are_canonical() -> None:
    assert put(key=["k"]).key == "k"
    compound = declared("u", "n")
    assert put('{"u":"a","n":7}', compound, key=["a", 7]).key == '["a","7"]'
    assert put('{"u":"a","n":"7"}', compound, key=["a", 7]).key == '["a","7"]'


@pytest.mark.parametrize(
    "members",
    [{"key": None}, {"key": ""}, {"key": 7}, {"key": {}}, {"key": ["a", "b"]}, {"key": "x" * 10_000}, {"key": "other"}],
)
def test_a_bad_key_is_an_invalid_identity(members: dict[str, object]) -> None:
    assert code(line(b'{"id":"k"}', **members)) == "invalid_record_identity"


def test_a_missing_key_or_primary_key_field_is_an_invalid_identity() -> None:
    assert code(b'{"data":{"id":"k"},"emitted_at":"%s"}' % AT.encode()) == "invalid_record_identity"
    assert code(line('{"x":1}')) == "invalid_record_identity"


def test_a_rejection_names_the_key_when_it_could_be_read() -> None:
    assert rejection(line("{}")).key == "k"
    assert rejection(line(emitted_at=None)).key == "k"
    assert rejection(line(key="x" * 10_000)).key is None
    assert rejection(b"nonsense").key is None


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        *(b"nonsense", b"{", b'{"key":"k"', b'{"a":1}{"b":2}', b'{"a":1} x', b"{'a':1}", b'{"a":1,}', b"\x00", b"NaN"),
        *(
            line('{"id":"k","x":NaN}'),
            line('{"id":"k","x":Infinity}'),
            line('{"id":"k","x":01}'),
            line('{"id":"\x01"}'),
        ),
        *(line(r'{"id":"k","x":"\ud800"}'), line(r'{"id":"k","x":"\udc00\ud800"}'), line(r'{"id":"k","x":"\ud800a"}')),
        *(b'{"x":"\\ud800","key":"k"}', b'{"x":NaN,"key":"k"}', b'\xef\xbb\xbf{"key":"k"}'),
    ],
)
def test_what_is_not_json_is_malformed(raw: bytes) -> None:
    assert code(raw) == "malformed_ndjson"


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
def test_what_is_not_utf8_is_invalid_utf8_wherever_it_stands(bad: bytes) -> None:
    for raw in (line(b'{"id":"k","x":"' + bad + b'"}'), line()[:-1] + b',"skipped":"' + bad + b'"}', bad):
        assert code(raw) == "invalid_utf8"


@pytest.mark.parametrize("raw", [b"[1]", b"5", b"null", b'"x"', b"true", b"[" * 100_000])
def test_what_is_no_object_is_refused_for_good(raw: bytes) -> None:
    assert code(raw) == "invalid_record"


@pytest.mark.parametrize("data", ["null", "5", '"x"', "[]", '[{"id":"k"}]', "true"])
def test_data_must_be_an_object(data: str) -> None:
    assert code(line(data)) == "invalid_record"


def test_data_must_be_there() -> None:
    assert code(json.dumps({"key": "k", "emitted_at": AT}).encode()) == "invalid_record"


@pytest.mark.parametrize("at", [None, 1732356000, "", "yesterday", "2026-11-23", "2026-02-30T10:00:00Z", [AT]])
def test_emitted_at_must_be_a_date_time(at: object) -> None:
    assert code(line(emitted_at=at)) == "invalid_record"


@pytest.mark.parametrize("op", ["", "UPSERT", "remove", 1, {}, False])
def test_op_must_be_one_of_two(op: object) -> None:
    assert code(line(op=op)) == "invalid_record"


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 5000])
def test_a_number_beyond_a_double_is_refused(number: str) -> None:
    assert code(line('{"id":"k","x":[§]}'.replace("§", number))) == "invalid_record"
    assert code(b'{"key":"k","x":1,"emitted_at":%s}' % number.encode()) == "invalid_record"


@pytest.mark.parametrize(
    "data",
    [
        '{"id":"k","id":"k"}',
        '{"id":"other","id":"k"}',
        '{"id":"k","x":{"a":1,"b":2,"a":3}}',
        '{"id":"k","x":[{"a:":1,"a\\u003a":3}]}',
        '{"id":"k","x":"\\u003a\\u003A","y":1,"y":1}',
        '{"id":"k" , "t": "::" ,"t" :"12:00:00"}',
    ],
)
def test_two_members_of_one_name_are_refused(data: str) -> None:
    assert code(line(data)) == "invalid_record"


@given(st.dictionaries(st.text(':"\\u03a', max_size=4), st.text(':"\\{', max_size=6), max_size=6), st.booleans())
def test_no_colon_is_mistaken_for_a_member(members: dict[str, str], escaped: bool) -> None:
    text = json.dumps({**members, "id": "k"})
    assert put(text.replace("::", ":\\u003a") if escaped and "::" in text else text).key == "k"


# -- order ---------------------------------------------------------------------------------------------------------


def test_records_without_the_cursor_field_are_absent() -> None:
    for data in ('{"id":"k"}', '{"id":"k","at":null}'):
        assert put(data).sort.absent
    assert put('{"id":"k","at":"x"}', declared(cursor_field=None)).sort.absent
    assert not put('{"id":"k","at":"x"}').sort.absent


def test_records_are_ordered_by_cursor_field_and_key() -> None:
    both = declared("n")
    puts = [put(json.dumps({"n": key, "at": at}), both, key=key) for at, key in [(1, "b"), (2, "a"), (2, "b")]]
    assert puts == sorted(puts, key=lambda each: (each.sort, each.key))
    assert len({each.sort for each in puts}) == 2


def test_a_cursor_value_that_fits_in_no_page_cursor_is_refused() -> None:
    assert put('{"id":"k","at":"§"}'.replace("§", "x" * 1000)).sort.cursor
    assert code(line('{"id":"k","at":"§"}'.replace("§", "x" * 5000))) == "invalid_record"
    assert code(line('{"id":"k","at":["§"]}'.replace("§", "x" * 5000))) == "invalid_record"


# -- blob references -----------------------------------------------------------------------------------------------


def test_references_are_found_in_the_data() -> None:
    data = '{"id":"k","name":"n.png","files":[{"blob_ref":{"blob_id":"§","mime_type":"Image/PNG"}}]}'.replace("§", ID)
    (found,) = put(data).refs
    assert (found.pointer, found.blob_id, found.media_type, found.filename) == (
        "/files/0/blob_ref",
        ID,
        "image/png",
        "n.png",
    )


def test_a_reference_hidden_by_escapes_is_found() -> None:
    assert len(put(r'{"id":"k","x":{"\u0062lob_id":"§"}}'.replace("§", ID)).refs) == 1
    assert len(put('{"id":"k","x":{"blob\\u005fid":"\\u0062lob_b3_§"}}'.replace("§", HEX)).refs) == 1


@pytest.mark.parametrize("ref", ['{"blob_id":"blob_b3_00"}', "{}", '{"blob_id":null}', '{"\\u0062lob_id":7}'])
def test_a_blob_ref_that_names_no_blob_is_not_stored(ref: str) -> None:
    assert code(line('{"id":"k","blob_ref":§}'.replace("§", ref))) == "blob_not_stored"


def test_a_fetch_url_in_a_reference_is_never_stored() -> None:
    kept = '{"id":"k","n":[12345678901234567890,1.10,1e300],"blob_ref":{"blob_id":"§"}}'.replace("§", ID)
    given = kept.replace('"}}', '","fetch_url":"/v1/blobs/x"}}')
    stored = put(given)
    assert json.loads(stored.data) == json.loads(kept)
    assert b"12345678901234567890,1.10," in stored.data
    assert same_content(stored.data, kept.encode())
    escaped = put(given.replace("fetch_url", "\\u0066etch_url"))
    assert escaped.data == stored.data


def test_a_fetch_url_elsewhere_is_content() -> None:
    data = '{ "id":"k", "fetch_url":"x", "blob_ref":{"blob_id":"§"} }'.replace("§", ID)
    assert put(data).data == data.encode()


# -- deletions -----------------------------------------------------------------------------------------------------


def delete(data: str = "null", **members: object) -> Delete:
    parsed = parse_line(line(data, op="delete", **members), FILES)
    assert isinstance(parsed, Delete)
    return parsed


@pytest.mark.parametrize("data", ["null", "{}", '{"id":"k"}', '{"deleted_at":null}', '{"deleted_at":7}'])
def test_a_deletion_is_dated_by_its_emission(data: str) -> None:
    assert delete(data) == Delete("k", AT, AT)


def test_a_deletion_may_have_no_data_at_all() -> None:
    raw = json.dumps({"key": "k", "emitted_at": AT, "op": "delete"}).encode()
    assert parse_line(raw, FILES) == Delete("k", AT, AT)


def test_a_deletion_may_say_when() -> None:
    assert delete('{"deleted_at":"2026-11-01T00:00:00Z"}') == Delete("k", "2026-11-01T00:00:00Z", AT)


def test_content_never_gets_into_a_tombstone_as_its_time() -> None:
    assert delete('{"deleted_at":"dear diary"}') == Delete("k", AT, AT)


@pytest.mark.parametrize("data", ["5", "[]", '"x"'])
def test_a_deletions_data_must_be_an_object(data: str) -> None:
    assert code(line(data, op="delete")) == "invalid_record"


def test_a_deletion_must_not_contradict_its_key() -> None:
    assert code(line('{"id":"other"}', op="delete")) == "invalid_record_identity"
    assert delete('{"id":"k"}').key == "k"


# -- anything ------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_rejected(raw: bytes) -> None:
    with pytest.raises(Rejected):
        parse_line(raw, FILES)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_line_with_one_byte_changed_is_parsed_or_rejected(data: st.DataObject) -> None:
    raw = bytearray(
        line('{"id":"k","at":1.5,"blob_ref":{"blob_id":"%s","fetch_url":"x"},"t":"\\u0062 é"}'.replace("§", ID))
    )
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_line(bytes(raw), FILES)
    except Rejected:
        return
    assert isinstance(parsed, ParsedPut)
    assert msgspec.json.decode(parsed.data)["id"] == parsed.key
