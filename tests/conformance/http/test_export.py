"""An owner's data on their way out: a bag, resumable while the data are the same."""

import asyncio
import io
import json
import tarfile

import pytest

from tests.conformance.http.api import Answer, Api, Connector, note, refused

pytestmark = pytest.mark.ours
PATH = "/v1/owner/export"


def files_of(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {each.name: tar.extractfile(each) for each in tar.getmembers()}
        return {name.removeprefix("export/"): file.read() for name, file in found.items() if file is not None}


async def export(connector: Connector, method: str = "GET", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with asyncio.timeout(60):
        while True:
            answer = await connector.api.call(method, PATH, {"connector_id": connector.id}, headers=named)
            if answer.status != 503:
                return answer
            # Nothing of an owner is exported while something of theirs is being erased: another test's may still be.
            await asyncio.sleep(float(answer.headers["Retry-After"]))


async def filled(connector: Connector) -> None:
    ref = await connector.upload("a", b"attached " * 20_000)
    await connector.put("notes", note("a", "2026-01-01", blob_ref=ref), note("b"))
    await connector.put("log", note("c"))


async def test_an_export_is_a_bag_of_what_the_connector_brought(connector: Connector) -> None:
    await filled(connector)
    answer = await export(connector)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-tar"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="export.tar"'
    assert len(answer.body) == int(answer.headers["Content-Length"])
    files = files_of(answer.body)
    (listed,) = map(json.loads, files["data/connectors.ndjson"].splitlines())
    assert listed["connector_id"] == connector.id
    streams = [json.loads(line) for line in files["data/streams.ndjson"].splitlines()]
    assert {each["stream"]: each["records"] for each in streams} == {"notes": 2, "log": 1, "pairs": 0}
    records = [json.loads(line) for each in streams for line in files[each["path"]].splitlines()]
    assert sorted(each["key"] for each in records) == ["a", "b", "c"]
    assert b"attached " * 20_000 in files.values()


async def test_the_same_data_are_the_same_bytes_and_the_same_tag(connector: Connector) -> None:
    await filled(connector)
    first, second = await export(connector), await export(connector)
    assert first.body == second.body
    assert first.headers["ETag"] == second.headers["ETag"]
    assert (await export(connector, If_None_Match=first.headers["ETag"])).status == 304


async def test_a_head_tells_the_size_and_the_tag_and_notes_nothing(connector: Connector) -> None:
    await filled(connector)
    before = await exports_noted(connector)
    head, whole = await export(connector, "HEAD"), await export(connector)
    assert head.status == 200
    for name in ("ETag", "Content-Length", "Content-Type"):
        assert head.headers[name] == whole.headers[name]
    assert len(await exports_noted(connector)) == len(before) + 1


async def test_an_export_that_broke_off_goes_on_where_it_was(connector: Connector) -> None:
    await filled(connector)
    whole = await export(connector)
    tag, size = whole.headers["ETag"], len(whole.body)
    for start in (1, 511, 512, size // 2, size - 1):
        rest = await export(connector, Range=f"bytes={start}-", If_Range=tag)
        assert rest.status == 206
        assert rest.headers["Content-Range"] == f"bytes {start}-{size - 1}/{size}"
        assert rest.body == whole.body[start:]
    several = await export(connector, Range="bytes=0-9,-10")
    assert several.status == 206
    assert whole.body[:10] in several.body
    refused(await export(connector, Range=f"bytes={size}-"), 416, "range_not_satisfiable")


async def test_once_the_data_changed_an_export_begins_anew_or_is_refused(connector: Connector) -> None:
    await filled(connector)
    tag = (await export(connector)).headers["ETag"]
    await connector.put("notes", note("new"))
    anew = await export(connector, Range="bytes=100-", If_Range=tag)
    assert anew.status == 200
    assert anew.headers["ETag"] != tag
    assert files_of(anew.body)
    refused(await export(connector, Range="bytes=100-", If_Match=tag), 412, "precondition_failed")


async def test_an_export_is_the_owners_alone(connector: Connector, stranger: Api, anyone: Api) -> None:
    await filled(connector)
    refused(await stranger.get(PATH, connector_id=connector.id), 404, "not_found")
    refused(await connector.api.get(PATH, connector_id="nobody"), 404, "not_found")
    refused(await anyone.get(PATH, connector_id=connector.id), 401, "authentication_error")
    refused(await connector.api.get(PATH, connector="x"), 400, "invalid_request", "connector")
    everything = await stranger.get(PATH)
    assert everything.status == 200
    assert connector.id.encode() not in everything.body


async def exports_noted(connector: Connector) -> list[dict[str, object]]:
    after, found = 0, []
    while True:
        page = (await connector.api.get("/v1/owner/spine", after=after, limit=1000)).json
        found += [each["body"] for each in page["data"] if each["body"]["kind"] == "export"]
        if not page["has_more"]:
            return [each for each in found if each["connectors"] == [connector.id]]
        after = page["next_after"]


async def test_an_export_is_noted_before_it_is_sent(connector: Connector) -> None:
    await filled(connector)
    answer = await export(connector, Range="bytes=0-0")
    (noted,) = await exports_noted(connector)
    assert f'"{noted["bag"]}"' == answer.headers["ETag"]
    assert str(noted["bytes"]) == answer.headers["Content-Range"].rpartition("/")[2]
