"""Tables of the schema `records`, in which the records of all owners are."""

from blobstore.postgres import Step
from blobstore.postgres.unsampled import unsampled

CONTENT = ("records.records", "records.links", "records.tombstones", "records.history")
"""Tables whose rows hold what an erasure must leave no trace of."""

# Every key starts with the owner: a distributed PostgreSQL can keep each owner's rows together.
# Texts from outside may hold NUL, which TEXT does not take: they are BYTEA of UTF-8, which compares as the code points
# do. `records.text_of` and the view `records.readable` show them as text.
# A connector and a partition are numbered by a digest of their names (`schema.connector_id`, `schema.part_of`), so
# that nobody has to look a number up. `epochs.place` and `finished.place` are digests of an instance, or of an instance
# and a stream; no stream has a blank name, so a blank stands for all of them.
# What may be longer than an index takes (pointers, names) is in none: `links.number` is a link's place among its
# record's in the order of pointers.
# Partitions keep counters, so that nobody has to count rows; what was before their `floor` is forgotten. A new one
# begins at its owner's `base`. `given` is the last number of the owner's outbox.
# PostgreSQL chooses among indexes by statistics, and knows nothing of a partition that just came or grew: to it, one
# with a million new rows is one without any, and any index that begins with owner and partition is as good as the right
# one. So of the large tables each index beside the first has the partition in a form of its own (`schema.keyed`,
# `schema.listed`, `schema.begun`) that no statement made for another index names. Of the owner no statistics are kept:
# then a scan of all of an owner's rows always seems dear.
# `records.cursor` is the sort key without the key at its end: pairs (cursor, key) compare as whole sort keys do.
# `linked` and `months` have sums (`records.sums`); a blank stream stands for all of a connector together.
# `history` has the states that were superseded at version `until` and stood since `version`; `remembered` is NULL for
# a tombstone's, and cut to what may stay where the record was `erased` since. `at` (UTC seconds) is when they, and
# tombstones, were made: they are forgotten after some time.
# `moving` has the marks of connectors (`records.transfer`); `disturbances` is there the number that a copy knows of.
# `are_away` tells whether one of the connectors is not served here; `require_here` raises the error MOVED then.
# `removals` tells that rows were removed since the tables were last cleaned up.
INITIAL = """
CREATE TABLE records.owners (
    owner TEXT COLLATE "C" PRIMARY KEY, base BIGINT NOT NULL DEFAULT 0, given BIGINT NOT NULL DEFAULT 0,
    name TEXT COLLATE "C"
);
CREATE TABLE records.connectors (
    owner TEXT COLLATE "C", id BYTEA, name BYTEA NOT NULL,
    epoch BIGINT NOT NULL DEFAULT 0, release_epoch BIGINT NOT NULL DEFAULT 0, disturbances BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, id)
);
CREATE TABLE records.epochs (
    owner TEXT COLLATE "C", connector BYTEA, place BYTEA, instance BYTEA NOT NULL, stream BYTEA NOT NULL,
    epoch BIGINT NOT NULL,
    PRIMARY KEY (owner, connector, place)
);
CREATE TABLE records.partitions (
    owner TEXT COLLATE "C", part BYTEA, connector BYTEA NOT NULL,
    connector_name BYTEA NOT NULL, instance BYTEA NOT NULL, stream BYTEA NOT NULL,
    records BIGINT NOT NULL, bytes BIGINT NOT NULL, links BIGINT NOT NULL,
    version BIGINT NOT NULL, updated_at TEXT COLLATE "C", floor BIGINT NOT NULL,
    PRIMARY KEY (owner, part)
);
CREATE INDEX partitions_of ON records.partitions (owner, connector);
CREATE TABLE records.records (
    owner TEXT COLLATE "C", part BYTEA, version BIGINT, key BYTEA NOT NULL,
    absent BOOLEAN NOT NULL, cursor BYTEA NOT NULL, emitted_at TEXT COLLATE "C" NOT NULL,
    links INTEGER NOT NULL, revisions BYTEA, data BYTEA NOT NULL,
    PRIMARY KEY (owner, part, version)
);
CREATE UNIQUE INDEX records_by_key ON records.records (owner, (part || 'k'), key);
CREATE UNIQUE INDEX records_in_order ON records.records (owner, (part || 'l'), absent, cursor, key);
CREATE TABLE records.links (
    owner TEXT COLLATE "C", part BYTEA, key BYTEA, number INTEGER, connector BYTEA NOT NULL, digest BYTEA NOT NULL,
    pointer BYTEA NOT NULL, media_type TEXT COLLATE "C" NOT NULL, filename BYTEA, size BIGINT NOT NULL,
    PRIMARY KEY (owner, part, key, number)
);
CREATE INDEX links_to ON records.links (owner, connector, digest, (part || 'l'), key, number);
CREATE TABLE records.linked (
    owner TEXT COLLATE "C", connector BYTEA, stream BYTEA,
    links BIGINT NOT NULL, bytes BIGINT NOT NULL, blobs BIGINT NOT NULL, blob_bytes BIGINT NOT NULL,
    PRIMARY KEY (owner, connector, stream)
);
CREATE TABLE records.months (
    owner TEXT COLLATE "C", part BYTEA, month TEXT COLLATE "C",
    records BIGINT NOT NULL, bytes BIGINT NOT NULL, linked BIGINT NOT NULL,
    PRIMARY KEY (owner, part, month)
);
CREATE TABLE records.tombstones (
    owner TEXT COLLATE "C", part BYTEA, version BIGINT, key BYTEA NOT NULL,
    deleted_at TEXT COLLATE "C" NOT NULL, emitted_at TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL,
    PRIMARY KEY (owner, part, version)
);
CREATE UNIQUE INDEX tombstones_by_key ON records.tombstones (owner, (part || 'k'), key);
CREATE TABLE records.history (
    owner TEXT COLLATE "C", part BYTEA, until BIGINT, key BYTEA NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL,
    erased BOOLEAN NOT NULL, remembered BYTEA,
    PRIMARY KEY (owner, part, until)
);
CREATE UNIQUE INDEX history_by_key ON records.history (owner, (part || 'k'), key, until);
CREATE UNIQUE INDEX history_begun ON records.history (owner, (part || 'b'), version);
CREATE SEQUENCE records.notes;
CREATE TABLE records.unlinked (
    owner TEXT COLLATE "C", connector BYTEA, digest BYTEA, note BIGINT NOT NULL,
    PRIMARY KEY (owner, connector, digest), UNIQUE (owner, note)
);
CREATE TABLE records.erased (
    owner TEXT COLLATE "C", erasure TEXT COLLATE "C", part BYTEA, records BIGINT NOT NULL,
    PRIMARY KEY (owner, erasure, part)
);
CREATE TABLE records.finished (
    owner TEXT COLLATE "C", erasure TEXT COLLATE "C", connector BYTEA, place BYTEA, instance BYTEA NOT NULL,
    PRIMARY KEY (owner, erasure, connector, place)
);
CREATE TABLE records.moving (
    owner TEXT COLLATE "C", connector BYTEA, name BYTEA NOT NULL,
    stage TEXT NOT NULL, other BYTEA NOT NULL, disturbances BIGINT NOT NULL,
    PRIMARY KEY (owner, connector)
);
CREATE TABLE records.outbox (
    owner TEXT COLLATE "C", seq BIGINT, body BYTEA NOT NULL,
    PRIMARY KEY (owner, seq)
);
CREATE TABLE records.removals (
    owner TEXT COLLATE "C", id BIGINT GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (owner, id)
);
CREATE FUNCTION records.are_away(whose TEXT, connectors BYTEA[]) RETURNS BOOLEAN STABLE LANGUAGE sql AS $$
    SELECT EXISTS (
        SELECT FROM records.moving m WHERE m.owner = whose AND m.stage <> 'leaving' AND (
            m.connector = ANY(connectors) OR m.name = '' AND EXISTS (
                SELECT FROM unnest(connectors) AS asked(id)
                WHERE NOT EXISTS (SELECT FROM records.connectors c WHERE c.owner = whose AND c.id = asked.id)
            )
        )
    )
$$;
CREATE FUNCTION records.require_here(whose TEXT, connectors BYTEA[]) RETURNS BOOLEAN STABLE LANGUAGE plpgsql AS $$
BEGIN
    IF records.are_away(whose, connectors) THEN
        RAISE EXCEPTION USING MESSAGE = 'these records are kept elsewhere', ERRCODE = 'MOVED';
    END IF;
    RETURN TRUE;
END $$;
CREATE FUNCTION records.text_of(value BYTEA) RETURNS TEXT IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT CASE WHEN position('\\x00'::bytea IN value) > 0 THEN encode(value, 'escape')
                ELSE convert_from(value, 'UTF8') END
$$;
CREATE VIEW records.readable AS
    SELECT r.owner, records.text_of(p.connector_name) AS connector, records.text_of(p.instance) AS instance,
           records.text_of(p.stream) AS stream, records.text_of(r.key) AS key, r.emitted_at, r.version, r.links,
           records.text_of(r.data) AS data
    FROM records.records r JOIN records.partitions p ON p.owner = r.owner AND p.part = r.part;
"""

# Of the owner for the sake of plans, of the rest because statistics show content.
_UNSAMPLED = (
    unsampled("records.records", "owner", "key", "cursor", "emitted_at", "revisions", "data"),
    unsampled("records.links", "owner", "key", "pointer", "media_type", "filename"),
    unsampled("records.tombstones", "owner", "key", "emitted_at"),
    unsampled("records.history", "owner", "key", "remembered"),
)

STEPS = (Step("initial", "; ".join((INITIAL.rstrip().removesuffix(";"), *_UNSAMPLED))),)
"""What makes the schema, in order."""
