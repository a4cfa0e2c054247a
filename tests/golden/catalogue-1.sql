PRAGMA user_version = 65537;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'catalogue','m001_initial','2026-11-29 21:32:53.211232+00:00');
CREATE TABLE blobs (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, generation TEXT NOT NULL,
    sha256 BLOB NOT NULL, size INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('live', 'quarantined', 'condemned')),
    verified_at REAL NOT NULL, orphaned_at REAL,
    condemned_seq INTEGER, reason TEXT, process TEXT,
    place INTEGER NOT NULL DEFAULT 0, kept_until REAL, late_until REAL, uploader TEXT,
    PRIMARY KEY (namespace, digest, generation)
) WITHOUT ROWID;
INSERT INTO "blobs" VALUES('o9efc827914168c33',X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','e3c64a87f24b6831eab4bdf93f1659e6',X'5BB27FB86C807B2FF46917449E038A93779FE33CEAE2FFC4C843C00C718E4183',8,'live',1795987973.7296722,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO "blobs" VALUES('oda8211cb4a1fee56',X'63A401BE996DDFA3E00CA89E0A5DFA04D06DBF37E449B686DBDF94C6BB3F61D5','f3c06d9d28e283bcf9721b90f72a8589',X'817E2382692CE83C0EDA953E3F3A96B2487CB3660A2398350E045719062B27CB',160000,'live',1795987973.6463637,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO "blobs" VALUES('oda8211cb4a1fee56',X'E17038616CFA9A2D5FE83C85FC03D24E4AD4724A1390EB0011E6FC568D8C6D8A','4779de61d0d7a4a99c8f40f684af56ec',X'765306E6FF5FA27C46A2FA650E20E35C2EFD3EEDA7CB2824026F704F40E5606B',7,'live',1795987973.6929255,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO "blobs" VALUES('oda8211cb4a1fee56',X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','861cc3e3c7b64e9ad7f45c5fa0706613',X'5BB27FB86C807B2FF46917449E038A93779FE33CEAE2FFC4C843C00C718E4183',8,'live',1795987973.5178289,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
CREATE TABLE claims (
    namespace TEXT NOT NULL, holder TEXT NOT NULL, slot TEXT NOT NULL, digest BLOB NOT NULL,
    scope TEXT NOT NULL, media_type TEXT NOT NULL, expires_at REAL NOT NULL,
    PRIMARY KEY (namespace, holder, slot, digest), UNIQUE (namespace, digest, holder, slot),
    UNIQUE (expires_at, namespace, holder, slot, digest)
) WITHOUT ROWID;
INSERT INTO "claims" VALUES('oda8211cb4a1fee56','files','["cin_121b97cdb1c605924d96622f","documents","4","@record"]',X'E17038616CFA9A2D5FE83C85FC03D24E4AD4724A1390EB0011E6FC568D8C6D8A','cin_121b97cdb1c605924d96622f','text/plain',1796592773.6820445);
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
INSERT INTO "holders" VALUES('o9efc827914168c33',X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','files',7,1);
INSERT INTO "holders" VALUES('oda8211cb4a1fee56',X'63A401BE996DDFA3E00CA89E0A5DFA04D06DBF37E449B686DBDF94C6BB3F61D5','files',4,1);
INSERT INTO "holders" VALUES('oda8211cb4a1fee56',X'E78383106AD6D82B2C0C37800F3E8303DF08460D92823E994FF1378899614BA1','files',4,1);
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
INSERT INTO "places" VALUES(0,'file','{}',NULL);
CREATE TABLE slack (stale INTEGER NOT NULL) STRICT;
INSERT INTO "slack" VALUES(1);
CREATE TABLE store (id TEXT NOT NULL, counter INTEGER NOT NULL);
INSERT INTO "store" VALUES('32200030d7a6cb95e12fa8c1888e96a3',7);
CREATE TABLE totals (
    namespace TEXT PRIMARY KEY, blobs INTEGER NOT NULL, bytes INTEGER NOT NULL,
    orphans INTEGER NOT NULL, orphan_bytes INTEGER NOT NULL, shared_bytes INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "totals" VALUES('o9efc827914168c33',1,8,0,0,0);
INSERT INTO "totals" VALUES('oda8211cb4a1fee56',3,160015,0,0,0);
CREATE TABLE volumes (
    namespace TEXT NOT NULL, holder TEXT NOT NULL, stored INTEGER NOT NULL, reserved INTEGER NOT NULL,
    PRIMARY KEY (namespace, holder)
) WITHOUT ROWID;
INSERT INTO "volumes" VALUES('o9efc827914168c33','',8,0);
INSERT INTO "volumes" VALUES('o9efc827914168c33','files',8,0);
INSERT INTO "volumes" VALUES('oda8211cb4a1fee56','',160015,0);
INSERT INTO "volumes" VALUES('oda8211cb4a1fee56','files',160015,0);
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
CREATE TRIGGER totals_come AFTER INSERT ON blobs WHEN (NEW.state = 'live') BEGIN
    INSERT INTO totals VALUES (NEW.namespace, (NEW.state = 'live'), (NEW.state = 'live') * NEW.size, (NEW.state = 'live' AND NEW.orphaned_at IS NOT NULL), (NEW.state = 'live' AND NEW.orphaned_at IS NOT NULL) * NEW.size, 0) ON CONFLICT DO UPDATE SET
    blobs = blobs + excluded.blobs, bytes = bytes + excluded.bytes, orphans = orphans + excluded.orphans,
    orphan_bytes = orphan_bytes + excluded.orphan_bytes, shared_bytes = shared_bytes + excluded.shared_bytes; END;
CREATE TRIGGER totals_turn AFTER UPDATE OF state, orphaned_at ON blobs
    WHEN ((NEW.state = 'live'), (NEW.state = 'live') * NEW.size, (NEW.state = 'live' AND NEW.orphaned_at IS NOT NULL), (NEW.state = 'live' AND NEW.orphaned_at IS NOT NULL) * NEW.size) IS NOT ((OLD.state = 'live'), (OLD.state = 'live') * OLD.size, (OLD.state = 'live' AND OLD.orphaned_at IS NOT NULL), (OLD.state = 'live' AND OLD.orphaned_at IS NOT NULL) * OLD.size) BEGIN
    INSERT INTO totals SELECT * FROM (
    SELECT NEW.namespace, (NEW.state = 'live'), (NEW.state = 'live') * NEW.size, (NEW.state = 'live' AND NEW.orphaned_at IS NOT NULL), (NEW.state = 'live' AND NEW.orphaned_at IS NOT NULL) * NEW.size, 0
    UNION ALL SELECT OLD.namespace, -(OLD.state = 'live'), -(OLD.state = 'live') * OLD.size, -(OLD.state = 'live' AND OLD.orphaned_at IS NOT NULL), -(OLD.state = 'live' AND OLD.orphaned_at IS NOT NULL) * OLD.size, 0) WHERE TRUE ON CONFLICT DO UPDATE SET
    blobs = blobs + excluded.blobs, bytes = bytes + excluded.bytes, orphans = orphans + excluded.orphans,
    orphan_bytes = orphan_bytes + excluded.orphan_bytes, shared_bytes = shared_bytes + excluded.shared_bytes; END;
CREATE TRIGGER totals_go AFTER DELETE ON blobs WHEN (OLD.state = 'live') BEGIN
    INSERT INTO totals VALUES (OLD.namespace, -(OLD.state = 'live'), -(OLD.state = 'live') * OLD.size, -(OLD.state = 'live' AND OLD.orphaned_at IS NOT NULL), -(OLD.state = 'live' AND OLD.orphaned_at IS NOT NULL) * OLD.size, 0) ON CONFLICT DO UPDATE SET
    blobs = blobs + excluded.blobs, bytes = bytes + excluded.bytes, orphans = orphans + excluded.orphans,
    orphan_bytes = orphan_bytes + excluded.orphan_bytes, shared_bytes = shared_bytes + excluded.shared_bytes; END;
CREATE TRIGGER totals_held AFTER INSERT ON holders WHEN (SELECT count(*) FROM holders WHERE namespace = NEW.namespace AND digest = NEW.digest) > 1 BEGIN
    INSERT INTO totals SELECT NEW.namespace, 0, 0, 0, 0, 1 * (SELECT coalesce(max(size), 0) FROM blobs WHERE namespace = NEW.namespace AND digest = NEW.digest) WHERE (SELECT coalesce(max(size), 0) FROM blobs WHERE namespace = NEW.namespace AND digest = NEW.digest) > 0 ON CONFLICT DO UPDATE SET
    blobs = blobs + excluded.blobs, bytes = bytes + excluded.bytes, orphans = orphans + excluded.orphans,
    orphan_bytes = orphan_bytes + excluded.orphan_bytes, shared_bytes = shared_bytes + excluded.shared_bytes; END;
CREATE TRIGGER totals_released AFTER DELETE ON holders WHEN (SELECT count(*) FROM holders WHERE namespace = OLD.namespace AND digest = OLD.digest) > 0 BEGIN
    INSERT INTO totals SELECT OLD.namespace, 0, 0, 0, 0, -1 * (SELECT coalesce(max(size), 0) FROM blobs WHERE namespace = OLD.namespace AND digest = OLD.digest) WHERE (SELECT coalesce(max(size), 0) FROM blobs WHERE namespace = OLD.namespace AND digest = OLD.digest) > 0 ON CONFLICT DO UPDATE SET
    blobs = blobs + excluded.blobs, bytes = bytes + excluded.bytes, orphans = orphans + excluded.orphans,
    orphan_bytes = orphan_bytes + excluded.orphan_bytes, shared_bytes = shared_bytes + excluded.shared_bytes; END;
CREATE TRIGGER totals_found AFTER INSERT ON blobs WHEN (SELECT count(*) FROM holders WHERE namespace = NEW.namespace AND digest = NEW.digest) > 1 AND NOT EXISTS (SELECT 1 FROM blobs
    WHERE namespace = NEW.namespace AND digest = NEW.digest AND generation != NEW.generation) BEGIN
    INSERT INTO totals SELECT NEW.namespace, 0, 0, 0, 0, ((SELECT count(*) FROM holders WHERE namespace = NEW.namespace AND digest = NEW.digest) - 1) * NEW.size WHERE NEW.size > 0 ON CONFLICT DO UPDATE SET
    blobs = blobs + excluded.blobs, bytes = bytes + excluded.bytes, orphans = orphans + excluded.orphans,
    orphan_bytes = orphan_bytes + excluded.orphan_bytes, shared_bytes = shared_bytes + excluded.shared_bytes; END;
CREATE TRIGGER totals_lost AFTER DELETE ON blobs WHEN (SELECT count(*) FROM holders WHERE namespace = OLD.namespace AND digest = OLD.digest) > 1 AND NOT EXISTS (SELECT 1 FROM blobs
    WHERE namespace = OLD.namespace AND digest = OLD.digest AND generation != OLD.generation) BEGIN
    INSERT INTO totals SELECT OLD.namespace, 0, 0, 0, 0, -((SELECT count(*) FROM holders WHERE namespace = OLD.namespace AND digest = OLD.digest) - 1) * OLD.size WHERE OLD.size > 0 ON CONFLICT DO UPDATE SET
    blobs = blobs + excluded.blobs, bytes = bytes + excluded.bytes, orphans = orphans + excluded.orphans,
    orphan_bytes = orphan_bytes + excluded.orphan_bytes, shared_bytes = shared_bytes + excluded.shared_bytes; END;
CREATE TRIGGER totals_emptied AFTER UPDATE ON totals
    WHEN NEW.blobs = 0 AND NEW.orphans = 0 AND NEW.shared_bytes = 0 BEGIN
    DELETE FROM totals WHERE namespace = NEW.namespace; END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',4);
COMMIT;
