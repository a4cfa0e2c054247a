"""What a catalogue consists of, in the words of no database: for moves from one to another (`blobstore.moving`)."""

from blobstore.moving.section import section

SECTIONS = (
    section("store", "id counter"),
    section(
        "blobs",
        "namespace digest generation sha256 size state verified_at orphaned_at condemned_seq reason process place"
        " kept_until late_until uploader",
        3,
        ahead=True,
    ),
    section("holders", "namespace digest holder version confirmed", 3, ahead=True),
    section("former", "namespace holder digest", 3, ahead=True),
    section("gone", "namespace digest generation size reason at", 3, ahead=True),
    section("claims", "namespace holder slot digest scope media_type expires_at", 4),
    section("leases", "id namespace holder scope process expires_at digest sha256 size reserved slot place copies"),
    section("places", "id location options left_at"),
    section("pins", "id namespace process expires_at"),
    section("outbox", "seq namespace body"),
    section("numbering", "given"),
    section("limits", "namespace holder bytes", 2),
    section("volumes", "namespace holder stored reserved", 2),
)
"""`store`: its id, and the last number of its counter. `numbering`: the last number that an event was given. Volumes
come after what they are counted from."""
