"""What a central store consists of, in the words of no database: for moves from one to another (`blobstore.moving`)."""

from blobstore.moving.section import section

ERASURES = section(
    "erasures",
    "id owner target state requested_at completed_at result connector instance owner_digest resumed receipt paused",
    order="number",
)

SECTIONS = (
    section("bound", "name"),
    section("owners", "id created_at subject erased_at digest"),
    section("chains", "owner events"),
    section("tokens", "digest kind owner created_at expires_at revoked_at label grant_id", order="number"),
    section("grants", "id owner client connector document created_at expires_at revoked_at", order="number"),
    ERASURES,
    section("targets", "erasure target"),
    section("samples", "erasure key sealed"),
    section("connectors", "owner id manifest registered_at erased_at", 2),
    section("instances", "owner id connector is_default created_at erased_at erasure", 2),
    section("states", "owner instance grant_id stream value updated_at", 4),
    section("topologies", "owner topology revision"),
    section("homes", "owner connector shard number rests notes stale oldest holds", 2),
    section("delivered", "owner source seq", 2),
    section("spine", "owner seq at body previous hash", 2, ahead=True),
    section("noted", "owner seq grant_id connector blob", 2, ahead=True),
    section("checkpoints", "owner seq made_at document", 2, ahead=True),
)
"""`chains`: how many events were ever chained to an owner's spine. What is ordered by `number` is in the order in which
it was added."""
