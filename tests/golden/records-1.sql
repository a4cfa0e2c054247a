PRAGMA user_version = 65537;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'records','m001_initial','2026-11-29 21:32:53.550583+00:00');
CREATE TABLE bound (name TEXT NOT NULL) STRICT;
INSERT INTO "bound" VALUES('32200030d7a6cb95e12fa8c1888e96a3/oda8211cb4a1fee56');
CREATE TABLE connectors (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL DEFAULT 0, release_epoch INTEGER NOT NULL DEFAULT 0,
    disturbances INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO "connectors" VALUES(1,'files',0,0,0);
CREATE TABLE epochs (
    connector INTEGER NOT NULL REFERENCES connectors, instance TEXT NOT NULL, stream TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (connector, instance, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE erased (
    erasure TEXT NOT NULL, part INTEGER NOT NULL REFERENCES partitions, records INTEGER NOT NULL,
    PRIMARY KEY (erasure, part)
) STRICT, WITHOUT ROWID;
CREATE TABLE finished (
    erasure TEXT NOT NULL, connector INTEGER NOT NULL REFERENCES connectors, instance TEXT NOT NULL,
    PRIMARY KEY (erasure, connector, instance)
) STRICT, WITHOUT ROWID;
CREATE TABLE history (
    part INTEGER NOT NULL, until INTEGER NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
    at INTEGER NOT NULL, erased INTEGER NOT NULL, remembered BLOB,
    PRIMARY KEY (part, until), UNIQUE (part, key, until), UNIQUE (part, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE linked (
    connector INTEGER NOT NULL REFERENCES connectors, stream TEXT NOT NULL,
    links INTEGER NOT NULL, bytes INTEGER NOT NULL, blobs INTEGER NOT NULL, blob_bytes INTEGER NOT NULL,
    PRIMARY KEY (connector, stream)
) STRICT, WITHOUT ROWID;
INSERT INTO "linked" VALUES(1,'',4,160024,2,160008);
INSERT INTO "linked" VALUES(1,'documents',2,16,1,8);
INSERT INTO "linked" VALUES(1,'photos',2,160008,2,160008);
CREATE TABLE links (
    part INTEGER NOT NULL, key TEXT NOT NULL, pointer TEXT NOT NULL,
    connector INTEGER NOT NULL, digest BLOB NOT NULL, media_type TEXT NOT NULL, filename TEXT, size INTEGER NOT NULL,
    PRIMARY KEY (part, key, pointer), UNIQUE (connector, digest, part, key, pointer)
) STRICT, WITHOUT ROWID;
INSERT INTO "links" VALUES(1,'1','/attachments/0/blob_ref',1,X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','text/plain','x.txt',8);
INSERT INTO "links" VALUES(1,'1','/attachments/1/blob_ref',1,X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','text/plain','x.txt',8);
INSERT INTO "links" VALUES(2,'2','/attachments/0/blob_ref',1,X'63A401BE996DDFA3E00CA89E0A5DFA04D06DBF37E449B686DBDF94C6BB3F61D5','text/plain','x.txt',160000);
INSERT INTO "links" VALUES(2,'2','/attachments/1/blob_ref',1,X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','text/plain','x.txt',8);
CREATE TABLE months (
    part INTEGER NOT NULL REFERENCES partitions, month TEXT NOT NULL,
    records INTEGER NOT NULL, bytes INTEGER NOT NULL, linked INTEGER NOT NULL,
    PRIMARY KEY (part, month)
) STRICT, WITHOUT ROWID;
INSERT INTO "months" VALUES(1,'2026-11',2,371,16);
INSERT INTO "months" VALUES(2,'2026-11',1,322,160008);
CREATE TABLE moving (
    connector TEXT PRIMARY KEY, stage TEXT NOT NULL, other TEXT NOT NULL, disturbances INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL) STRICT;
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY, connector INTEGER NOT NULL REFERENCES connectors,
    instance TEXT NOT NULL, stream TEXT NOT NULL,
    records INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, links INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0, updated_at TEXT, floor INTEGER NOT NULL DEFAULT 0,
    UNIQUE (connector, instance, stream)
) STRICT;
INSERT INTO "partitions" VALUES(1,1,'cin_121b97cdb1c605924d96622f','documents',2,371,2,2,'2026-11-23T10:00:00Z',0);
INSERT INTO "partitions" VALUES(2,1,'cin_121b97cdb1c605924d96622f','photos',1,322,2,1,'2026-11-23T10:00:00Z',0);
CREATE TABLE records (
    id INTEGER PRIMARY KEY, part INTEGER NOT NULL, key TEXT NOT NULL,
    absent INTEGER NOT NULL, cursor BLOB NOT NULL, emitted_at ANY NOT NULL,
    links INTEGER NOT NULL, revisions BLOB, data TEXT NOT NULL,
    UNIQUE (part, key), UNIQUE (part, absent, cursor, key)
) STRICT;
INSERT INTO "records" VALUES(1099511627777,1,'1',1,X'',7181712000000000,2,NULL,'{"id": "1", "attachments": [{"blob_ref": {"blob_id": "blob_b3_e78383106ad6d82b2c0c37800f3e8303df08460d92823e994ff1378899614ba1", "mime_type": "text/plain"}, "name": "x.txt"}, {"blob_ref": {"blob_id": "blob_b3_e78383106ad6d82b2c0c37800f3e8303df08460d92823e994ff1378899614ba1", "mime_type": "text/plain"}, "name": "x.txt"}]}');
INSERT INTO "records" VALUES(1099511627778,1,'3',1,X'',7181712000000000,0,NULL,'{"id": "3", "attachments": [], "text": "no blob"}');
INSERT INTO "records" VALUES(2199023255553,2,'2',1,X'',7181712000000000,2,NULL,'{"id": "2", "attachments": [{"blob_ref": {"blob_id": "blob_b3_63a401be996ddfa3e00ca89e0a5dfa04d06dbf37e449b686dbdf94c6bb3f61d5", "mime_type": "text/plain"}, "name": "x.txt"}, {"blob_ref": {"blob_id": "blob_b3_e78383106ad6d82b2c0c37800f3e8303df08460d92823e994ff1378899614ba1", "mime_type": "text/plain"}, "name": "x.txt"}]}');
CREATE TABLE rests (number INTEGER NOT NULL) STRICT;
INSERT INTO "rests" VALUES(0);
CREATE TABLE slack (stale INTEGER NOT NULL) STRICT;
INSERT INTO "slack" VALUES(0);
CREATE TABLE tombstones (
    part INTEGER NOT NULL, version INTEGER NOT NULL, key TEXT NOT NULL,
    deleted_at TEXT NOT NULL, emitted_at TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (part, version), UNIQUE (part, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE unlinked (
    note INTEGER PRIMARY KEY AUTOINCREMENT, connector INTEGER NOT NULL REFERENCES connectors, digest BLOB NOT NULL,
    UNIQUE (connector, digest)
) STRICT;
CREATE TABLE versions (base INTEGER NOT NULL) STRICT;
INSERT INTO "versions" VALUES(0);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE VIEW "documents of files" AS SELECT
    p.instance,
    r.key,
    CASE typeof(r.emitted_at) WHEN 'integer' THEN
        strftime('%Y-%m-%dT%H:%M:%S', ((r.emitted_at >> 2) - (((r.emitted_at >> 2) % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch')
        || CASE r.emitted_at & 3 WHEN 0 THEN '' WHEN 1 THEN printf('.%03d', (((r.emitted_at >> 2) % 1000000 + 1000000) % 1000000) / 1000)
           ELSE printf('.%06d', (((r.emitted_at >> 2) % 1000000 + 1000000) % 1000000)) END || 'Z'
    ELSE r.emitted_at END AS emitted_at,
    r.data ->> '$."id"' AS "id",
    r.data ->> '$."attachments"' AS "data.attachments",
    (SELECT group_concat('blob_b3_' || lower(hex(l.digest)), ' ') FROM links l
     WHERE l.part = r.part AND l.key = r.key) AS attachments
FROM connectors c JOIN partitions p ON p.connector = c.id JOIN records r ON r.part = p.id
WHERE c.name = 'files' AND p.stream = 'documents';
CREATE VIEW "photos of files" AS SELECT
    p.instance,
    r.key,
    CASE typeof(r.emitted_at) WHEN 'integer' THEN
        strftime('%Y-%m-%dT%H:%M:%S', ((r.emitted_at >> 2) - (((r.emitted_at >> 2) % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch')
        || CASE r.emitted_at & 3 WHEN 0 THEN '' WHEN 1 THEN printf('.%03d', (((r.emitted_at >> 2) % 1000000 + 1000000) % 1000000) / 1000)
           ELSE printf('.%06d', (((r.emitted_at >> 2) % 1000000 + 1000000) % 1000000)) END || 'Z'
    ELSE r.emitted_at END AS emitted_at,
    r.data ->> '$."id"' AS "id",
    r.data ->> '$."attachments"' AS "data.attachments",
    (SELECT group_concat('blob_b3_' || lower(hex(l.digest)), ' ') FROM links l
     WHERE l.part = r.part AND l.key = r.key) AS attachments
FROM connectors c JOIN partitions p ON p.connector = c.id JOIN records r ON r.part = p.id
WHERE c.name = 'files' AND p.stream = 'photos';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',3);
COMMIT;
