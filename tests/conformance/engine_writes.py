"""What every record engine does with batches."""

import asyncio
from dataclasses import replace

import pytest
from msgspec import structs

from records.engine import Engine
from records.errors import Fenced, Released
from records.model import Outcome, PartitionStats, Put
from records.order import sort_key
from tests.conformance.engine_values import (
    GMAIL,
    MAILS,
    MESSAGES,
    OTHERS,
    SLACK,
    T1,
    T2,
    T3,
    USERS,
    apply,
    batch_of,
    delete,
    digest_of,
    link_of,
    put,
    record_of,
    version_of,
)

CREATED, UPDATED, UNCHANGED = Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED
DELETED, ABSENT = Outcome.DELETED, Outcome.ABSENT


class EngineWrites:
    # -- outcomes and versions -------------------------------------------------------------------------------------

    async def test_each_mutation_has_its_outcome(self, engine: Engine) -> None:
        assert await apply(engine, MESSAGES, put("a"), put("b")) == [CREATED, CREATED]
        outcomes = await apply(engine, MESSAGES, put("a", "new"), put("b"), delete("b"), delete("c"), put("c"))
        assert outcomes == [UPDATED, UNCHANGED, DELETED, ABSENT, CREATED]

    async def test_whatever_changes_takes_the_next_version(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"), put("b"), put("a"), delete("c"), put("a", "new"), delete("b"))
        assert await version_of(engine, MESSAGES) == 4
        await apply(engine, MESSAGES, put("d"))
        versions = {key: (await engine.get([MESSAGES], [key]))[0].version for key in ("a", "d")}
        assert versions == {"a": 3, "d": 5}

    async def test_an_unchanged_record_stays_as_it_was(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "same", emitted_at=T1, at=1))
        before = await record_of(engine, MESSAGES, "a")
        again = structs.replace(put("a", "same", link_of(1), emitted_at=T2, at=2), data=b'{"id":"a","text":"same"}')
        assert await apply(engine, MESSAGES, again) == [UNCHANGED]
        assert await record_of(engine, MESSAGES, "a") == before
        assert await engine.stats() == {MESSAGES: PartitionStats(1, len(put("a", "same").data), 0, 1, T1)}

    async def test_append_only_keeps_what_is_there(self, engine: Engine) -> None:
        batch = replace(batch_of(MESSAGES, put("a", "first"), put("a", "second"), put("b")), append_only=True)
        assert await engine.apply(batch) == [CREATED, UNCHANGED, CREATED]
        assert await engine.apply(replace(batch, mutations=[put("a", "third", link_of(1)), put("c")])) == [
            UNCHANGED,
            CREATED,
        ]
        record = await record_of(engine, MESSAGES, "a")
        assert record is not None
        assert record.data == put("a", "first").data
        assert await engine.links_of(digest_of(1)) == []

    async def test_many_records_at_once_are_kept_as_they_came(self, engine: Engine) -> None:
        short = [put(f"s{n:03}", "text", *([link_of(n)] if n % 7 == 0 else [])) for n in range(230)]
        long = [put(f"l{n:03}", "x" * 3000) for n in range(120)]
        for several in (short, long, [put("again"), *short[:99], *long]):
            await apply(engine, MESSAGES, *several)
        found = {each.key: each for each in await engine.get([MESSAGES], [each.key for each in (*short, *long)])}
        assert [found[each.key].data for each in (*short, *long)] == [each.data for each in (*short, *long)]
        assert [found[each.key].version for each in (*short, *long)] == list(range(1, 351))
        assert [each.key for each in short if found[each.key].linked] == [f"s{n:03}" for n in range(0, 230, 7)]

    async def test_an_update_replaces_all_of_the_record(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "old", at=1, emitted_at=T1))
        new = put("a", "a longer text than before", link_of(1), emitted_at=T2)
        await apply(engine, MESSAGES, new)
        record = await record_of(engine, MESSAGES, "a")
        assert record is not None
        assert (record.sort, record.data, record.emitted_at, record.version, record.linked) == (
            sort_key(None),
            new.data,
            T2,
            2,
            True,
        )

    async def test_a_deleted_record_is_gone_and_comes_back_as_new(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "text", link_of(1)))
        await apply(engine, MESSAGES, delete("a"))
        assert await record_of(engine, MESSAGES, "a") is None
        assert await engine.links_in(MESSAGES, "a") == []
        assert await apply(engine, MESSAGES, delete("a"), put("a", "text")) == [ABSENT, CREATED]
        record = await record_of(engine, MESSAGES, "a")
        assert record is not None
        assert (record.version, record.linked) == (3, False)

    async def test_the_order_of_mutations_of_one_key_counts(self, engine: Engine) -> None:
        one, two = put("a", "one", link_of(1)), put("a", "two")
        assert await apply(engine, MESSAGES, one, two, one, delete("a"), delete("a"), two, one) == [
            CREATED,
            UPDATED,
            UPDATED,
            DELETED,
            ABSENT,
            CREATED,
            UPDATED,
        ]
        record = await record_of(engine, MESSAGES, "a")
        assert record is not None
        assert (record.data, record.version, record.linked) == (one.data, 6, True)
        assert await apply(engine, MESSAGES, two, delete("a")) == [UPDATED, DELETED]
        assert await apply(engine, MESSAGES, two, delete("a")) == [CREATED, DELETED]
        assert await record_of(engine, MESSAGES, "a") is None
        assert await engine.stats() == {MESSAGES: PartitionStats(0, 0, 0, 10, None)}

    async def test_partitions_are_apart(self, engine: Engine) -> None:
        places = [MESSAGES, USERS, OTHERS, MAILS]
        for number, place in enumerate(places):
            assert await apply(engine, place, put("a", str(number))) == [CREATED]
        await apply(engine, OTHERS, delete("a"))
        assert [record.partition for record in await engine.get(places, "a")] == [MAILS, MESSAGES, USERS]
        assert {place: of.version for place, of in (await engine.stats()).items()} == {
            MAILS: 1,
            MESSAGES: 1,
            USERS: 1,
            OTHERS: 2,
        }

    async def test_what_changes_nothing_leaves_no_partition(self, engine: Engine) -> None:
        assert await apply(engine, MESSAGES) == []
        assert await apply(engine, MESSAGES, delete("a")) == [ABSENT]
        assert await engine.stats() == {}

    async def test_a_large_batch_is_one_step(self, engine: Engine) -> None:
        keys = [f"{n:05}" for n in range(1300)]
        await apply(engine, MESSAGES, *(put(key, "old", link_of(n % 7)) for n, key in enumerate(keys[:900])))
        mutations = [put(key, "new") for key in reversed(keys)] + [delete(key) for key in keys[::2]]
        outcomes = await apply(engine, MESSAGES, *mutations)
        assert outcomes == [CREATED] * 400 + [UPDATED] * 900 + [DELETED] * 650
        stats = (await engine.stats())[MESSAGES]
        assert (stats.records, stats.version, stats.links) == (650, 900 + 1300 + 650, 0)
        assert len(await engine.unlinked(100)) == 7

    # -- what comes back -------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "key", ["", "a\0b", "\0", "a'b\"c", '["x","y"]', "../é/%00", "\U0001f600\uffff", "k" * 1024]
    )
    async def test_any_key_names_one_record(self, engine: Engine, key: str) -> None:
        others = {key + "\0", key + "x", "\0" + key}
        await apply(engine, MESSAGES, *(put(other, "other", at=1) for other in others))
        await apply(engine, MESSAGES, put(key, "old", at=1), put(key, "mine", link_of(1), at=1))
        record = await record_of(engine, MESSAGES, key)
        assert record is not None
        assert (record.key, record.sort) == (key, sort_key(1))
        assert [link.key for link in await engine.links_in(MESSAGES, key)] == [key]
        assert await apply(engine, MESSAGES, delete(key)) == [DELETED]
        assert (await engine.stats())[MESSAGES].records == len(others)

    @pytest.mark.parametrize(
        "data",
        [
            b'{ "a":\t1.50e+1,\r\n"b" : "\\u0000\\ud83d\\ude00" }',
            '{"é":"\U0001f600\ufeff"}'.encode(),
            b'{"a":"%s"}' % (b"x" * 100_000),
            b'{"a":12345678901234567890123}',
        ],
        ids=["spaces and escapes", "unicode", "large", "number"],
    )
    async def test_data_comes_back_to_the_byte(self, engine: Engine, data: bytes) -> None:
        await apply(engine, MESSAGES, Put("a", sort_key("x"), data, T1))
        await apply(engine, MESSAGES, put("b"))
        await apply(engine, MESSAGES, Put("b", sort_key("x"), data, T1))
        for key in ("a", "b"):
            record = await record_of(engine, MESSAGES, key)
            assert record is not None
            assert (record.data, record.emitted_at) == (data, T1)
        assert (await engine.stats())[MESSAGES].bytes == 2 * len(data)

    # -- counters --------------------------------------------------------------------------------------------------

    async def test_counters_follow_every_change(self, engine: Engine) -> None:
        a, b = put("a", "1234", link_of(1, "/0"), link_of(1, "/1"), emitted_at=T2), put("b", emitted_at=T1)
        await apply(engine, MESSAGES, a, b)
        size = len(a.data) + len(b.data)
        assert await engine.stats() == {MESSAGES: PartitionStats(2, size, 2, 2, T2)}
        shorter = put("a", "1", link_of(2), emitted_at=T3)
        await apply(engine, MESSAGES, shorter)
        assert await engine.stats() == {MESSAGES: PartitionStats(2, size - 3, 1, 3, T3)}
        await apply(engine, MESSAGES, delete("a"))
        assert await engine.stats() == {MESSAGES: PartitionStats(1, len(b.data), 0, 4, T3)}

    async def test_the_newest_emission_lasts_until_the_partition_is_empty(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a", "old", emitted_at=T3))
        await apply(engine, MESSAGES, put("a", "new", emitted_at=T1))
        assert (await engine.stats())[MESSAGES].updated_at == T3
        await apply(engine, MESSAGES, delete("a"))
        assert (await engine.stats())[MESSAGES].updated_at is None
        await apply(engine, MESSAGES, put("a", "old", emitted_at=T3), delete("a"), put("b", emitted_at=T2))
        assert (await engine.stats())[MESSAGES].updated_at == T2

    # -- fences ----------------------------------------------------------------------------------------------------

    async def test_a_batch_that_began_before_an_erasure_leaves_nothing(self, engine: Engine) -> None:
        await apply(engine, MESSAGES, put("a"))
        await engine.fence(SLACK, "one")
        late = replace(batch_of(MESSAGES, put("b", "", link_of(1)), delete("a")), event=b"late")
        with pytest.raises(Fenced):
            await engine.apply(late)
        with pytest.raises(Fenced):
            await engine.apply(replace(late, mutations=[]))
        with pytest.raises(Fenced):
            await engine.apply(replace(late, epoch=2))
        assert await engine.outbox(10) == []
        assert await record_of(engine, MESSAGES, "b") is None
        assert await version_of(engine, MESSAGES) == 1
        assert await engine.apply(replace(late, epoch=1)) == [CREATED, DELETED]

    async def test_a_batch_that_held_before_a_release_leaves_nothing(self, engine: Engine) -> None:
        late = replace(batch_of(MESSAGES, put("a", "", link_of(1))), release_epoch=0, event=b"late")
        assert await engine.recount(SLACK, [digest_of(1)]) == {digest_of(1)}
        with pytest.raises(Released):
            await engine.apply(late)
        assert await engine.outbox(10) == []
        assert await engine.stats() == {}
        assert await engine.apply(replace(late, release_epoch=1)) == [CREATED]

    async def test_a_release_does_not_hinder_what_links_nothing_or_another_connector(self, engine: Engine) -> None:
        await engine.recount(SLACK, [])
        assert await engine.apply(batch_of(MESSAGES, put("a"))) == [CREATED]
        assert await engine.apply(replace(batch_of(MAILS, put("a")), release_epoch=0)) == [CREATED]
        assert (await engine.release_epoch(SLACK), await engine.release_epoch(GMAIL)) == (1, 0)

    async def test_an_erasure_is_told_before_a_release(self, engine: Engine) -> None:
        await engine.fence(SLACK, "one")
        await engine.recount(SLACK, [])
        with pytest.raises(Fenced):
            await engine.apply(replace(batch_of(MESSAGES, put("a")), release_epoch=0))

    # -- events ----------------------------------------------------------------------------------------------------

    async def test_an_event_is_written_with_what_it_tells_of(self, engine: Engine) -> None:
        for event, mutation in (
            (b"put", put("a")),
            (b"same", put("a")),
            (b"none", delete("b")),
            (b"gone", delete("a")),
        ):
            await engine.apply(replace(batch_of(MESSAGES, mutation), event=event))
        await engine.apply(batch_of(MESSAGES, put("c")))
        assert [event.body for event in await engine.outbox(10)] == [b"put", b"gone"]

    async def test_many_batches_at_once_each_take_their_own_versions(self, engine: Engine) -> None:
        batches = [[put(f"{n}-{m}"), put("shared", f"{n}-{m}")] for n in range(20) for m in range(2)]
        await asyncio.gather(*(apply(engine, MESSAGES, *batch) for batch in batches))
        records = [await record_of(engine, MESSAGES, f"{n}-{m}") for n in range(20) for m in range(2)]
        versions = {record.version for record in records if record is not None}
        assert len(versions) == 40
        stats = (await engine.stats())[MESSAGES]
        assert (stats.records, stats.version) == (41, 80)
