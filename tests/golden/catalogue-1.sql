PRAGMA user_version = 65537;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'catalogue','m001_initial','2026-11-29 10:35:25.543004+00:00');
CREATE TABLE blobs (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, generation TEXT NOT NULL,
    sha256 BLOB NOT NULL, size INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('live', 'quarantined', 'condemned')),
    verified_at REAL NOT NULL, orphaned_at REAL,
    condemned_seq INTEGER, reason TEXT, process TEXT,
    place INTEGER NOT NULL DEFAULT 0, kept_until REAL, late_until REAL, uploader TEXT,
    PRIMARY KEY (namespace, digest, generation)
) WITHOUT ROWID;
INSERT INTO "blobs" VALUES('o2be2376d1da1d347',X'63A401BE996DDFA3E00CA89E0A5DFA04D06DBF37E449B686DBDF94C6BB3F61D5','7ddbda3d3311aff822070766edbd6de5',X'817E2382692CE83C0EDA953E3F3A96B2487CB3660A2398350E045719062B27CB',160000,'live',1795948526.0722439,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO "blobs" VALUES('o2be2376d1da1d347',X'E17038616CFA9A2D5FE83C85FC03D24E4AD4724A1390EB0011E6FC568D8C6D8A','16de3e1fdb6b92fbed6bae555d8cc52f',X'765306E6FF5FA27C46A2FA650E20E35C2EFD3EEDA7CB2824026F704F40E5606B',7,'live',1795948526.189754,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO "blobs" VALUES('o2be2376d1da1d347',X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','cb5376caa862c2531814f97c6c8b782f',X'5BB27FB86C807B2FF46917449E038A93779FE33CEAE2FFC4C843C00C718E4183',8,'live',1795948525.8160832,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO "blobs" VALUES('oaf4289af5b57b6bf',X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','39f169f60e311d0b1b76720fb5883531',X'5BB27FB86C807B2FF46917449E038A93779FE33CEAE2FFC4C843C00C718E4183',8,'live',1795948526.2508109,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
CREATE TABLE claims (
    namespace TEXT NOT NULL, holder TEXT NOT NULL, slot TEXT NOT NULL, digest BLOB NOT NULL,
    scope TEXT NOT NULL, media_type TEXT NOT NULL, expires_at REAL NOT NULL,
    PRIMARY KEY (namespace, holder, slot, digest), UNIQUE (namespace, digest, holder, slot),
    UNIQUE (expires_at, namespace, holder, slot, digest)
) WITHOUT ROWID;
INSERT INTO "claims" VALUES('o2be2376d1da1d347','files','["cin_639e48d3b758e8d791c73a7b","documents","4","@record"]',X'E17038616CFA9A2D5FE83C85FC03D24E4AD4724A1390EB0011E6FC568D8C6D8A','cin_639e48d3b758e8d791c73a7b','text/plain',1796553326.1655309);
CREATE TABLE derived (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, key BLOB NOT NULL,
    PRIMARY KEY (namespace, digest, kind), UNIQUE (namespace, number)
) WITHOUT ROWID;
CREATE TABLE derived_bytes (number INTEGER PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE former (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, holder TEXT NOT NULL,
    PRIMARY KEY (namespace, holder, digest)
) WITHOUT ROWID;
CREATE TABLE gone (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, generation TEXT NOT NULL,
    size INTEGER NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (namespace, digest, generation)
) WITHOUT ROWID;
CREATE TABLE holders (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, holder TEXT NOT NULL,
    version INTEGER NOT NULL, confirmed INTEGER NOT NULL,
    PRIMARY KEY (namespace, digest, holder)
) WITHOUT ROWID;
INSERT INTO "holders" VALUES('o2be2376d1da1d347',X'63A401BE996DDFA3E00CA89E0A5DFA04D06DBF37E449B686DBDF94C6BB3F61D5','files',4,1);
INSERT INTO "holders" VALUES('o2be2376d1da1d347',X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','files',4,1);
INSERT INTO "holders" VALUES('oaf4289af5b57b6bf',X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','files',7,1);
CREATE TABLE leases (
    id TEXT PRIMARY KEY, namespace TEXT NOT NULL, holder TEXT NOT NULL, scope TEXT NOT NULL,
    process TEXT NOT NULL, expires_at REAL NOT NULL, digest BLOB, sha256 BLOB, size INTEGER,
    reserved INTEGER NOT NULL DEFAULT 0, slot TEXT NOT NULL, place INTEGER NOT NULL DEFAULT 0, copies TEXT
) WITHOUT ROWID;
CREATE TABLE limits (
    namespace TEXT NOT NULL, holder TEXT NOT NULL, bytes INTEGER, PRIMARY KEY (namespace, holder)
) WITHOUT ROWID;
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE pins (
    id TEXT PRIMARY KEY, namespace TEXT, process TEXT NOT NULL, expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE places (
    id INTEGER PRIMARY KEY, location TEXT NOT NULL UNIQUE, options TEXT NOT NULL, left_at REAL
) WITHOUT ROWID;
CREATE TABLE slack (stale INTEGER NOT NULL) STRICT;
INSERT INTO "slack" VALUES(1);
CREATE TABLE store (id TEXT NOT NULL, counter INTEGER NOT NULL);
INSERT INTO "store" VALUES('2fd7cd2a365735117b4c46e8cf9c0add',7);
CREATE TABLE volumes (
    namespace TEXT NOT NULL, holder TEXT NOT NULL, stored INTEGER NOT NULL, reserved INTEGER NOT NULL,
    PRIMARY KEY (namespace, holder)
) WITHOUT ROWID;
INSERT INTO "volumes" VALUES('o2be2376d1da1d347','',160015,0);
INSERT INTO "volumes" VALUES('o2be2376d1da1d347','files',160015,0);
INSERT INTO "volumes" VALUES('oaf4289af5b57b6bf','',8,0);
INSERT INTO "volumes" VALUES('oaf4289af5b57b6bf','files',8,0);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX blobs_live ON blobs (namespace, digest) WHERE state = 'live';
CREATE INDEX blobs_by_sha256 ON blobs (namespace, sha256) WHERE state = 'live';
CREATE INDEX blobs_orphaned ON blobs (orphaned_at, namespace, digest, generation, size) WHERE orphaned_at IS NOT NULL;
CREATE INDEX blobs_condemned ON blobs (condemned_seq) WHERE state = 'condemned' AND kept_until IS NULL;
CREATE INDEX blobs_kept ON blobs (kept_until) WHERE kept_until IS NOT NULL;
CREATE INDEX blobs_taken ON blobs (process) WHERE process IS NOT NULL;
CREATE INDEX blobs_by_verification ON blobs (verified_at) WHERE state = 'live';
CREATE INDEX holders_by_holder ON holders (namespace, holder, digest);
CREATE INDEX holders_unconfirmed ON holders (version) WHERE NOT confirmed;
CREATE INDEX former_by_blob ON former (namespace, digest);
CREATE UNIQUE INDEX places_intake ON places (left_at IS NULL) WHERE left_at IS NULL;
CREATE INDEX gone_by_reason ON gone (namespace, reason, digest, generation);
CREATE TRIGGER blobs_kept AFTER INSERT ON blobs WHEN NEW.reason IS NOT 'moved' BEGIN
    INSERT INTO volumes VALUES (NEW.namespace, '', NEW.size, 0)
    ON CONFLICT DO UPDATE SET stored = stored + excluded.stored; END;
CREATE TRIGGER blobs_moved AFTER UPDATE OF reason ON blobs WHEN NEW.reason = 'moved' AND OLD.reason IS NULL BEGIN
    UPDATE volumes SET stored = stored - OLD.size WHERE namespace = OLD.namespace AND holder = ''; END;
CREATE TRIGGER blobs_buried AFTER DELETE ON blobs WHEN OLD.reason IS NOT 'moved' BEGIN
    UPDATE volumes SET stored = stored - OLD.size WHERE namespace = OLD.namespace AND holder = ''; END;
CREATE TRIGGER leases_made AFTER INSERT ON leases BEGIN
    INSERT INTO volumes VALUES (NEW.namespace, '', 0, NEW.reserved), (NEW.namespace, NEW.holder, 0, NEW.reserved)
    ON CONFLICT DO UPDATE SET reserved = reserved + excluded.reserved; END;
CREATE TRIGGER leases_grown AFTER UPDATE OF reserved ON leases BEGIN
    INSERT INTO volumes VALUES (NEW.namespace, '', 0, NEW.reserved - OLD.reserved),
        (NEW.namespace, NEW.holder, 0, NEW.reserved - OLD.reserved)
    ON CONFLICT DO UPDATE SET reserved = reserved + excluded.reserved; END;
CREATE TRIGGER leases_ended AFTER DELETE ON leases BEGIN
    UPDATE volumes SET reserved = reserved - OLD.reserved
    WHERE namespace = OLD.namespace AND holder IN ('', OLD.holder); END;
CREATE TRIGGER volumes_emptied AFTER UPDATE ON volumes WHEN NEW.stored = 0 AND NEW.reserved = 0 BEGIN
    DELETE FROM volumes WHERE namespace = NEW.namespace AND holder = NEW.holder; END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',4);
COMMIT;
