"""What every place of small objects does: inherit the class, give it a `notes` fixture."""

from concurrent.futures import ThreadPoolExecutor

from blobstore.notes import Notes


class NotesSuite:
    """One test for each sentence of `blobstore.notes`."""

    def test_what_was_created_is_read_and_nothing_else(self, notes: Notes) -> None:
        assert notes.read("ledger/1") is None
        assert notes.create("ledger/1", b"one\x00")
        assert notes.read("ledger/1") == b"one\x00"
        assert notes.read("ledger/10") is None

    def test_a_name_that_is_taken_is_not_given_again(self, notes: Notes) -> None:
        assert notes.create("ledger/1", b"one")
        assert not notes.create("ledger/1", b"other")
        assert notes.read("ledger/1") == b"one"

    def test_of_many_who_create_one_at_once_one_succeeds_or_it_is_known_that_several_may(self, notes: Notes) -> None:
        with ThreadPoolExecutor(8) as pool:
            for number in range(4):
                name = f"ledger/{number}"
                created = list(
                    pool.map(lambda data, name=name: notes.create(name, data), [b"%d" % n for n in range(8)])
                )
                assert created.count(True) == 1 or (created.count(True) > 1 and not notes.exclusive)
                assert notes.read(name) in [b"%d" % n for n, won in enumerate(created) if won]

    def test_names_come_in_order_from_one_on(self, notes: Notes) -> None:
        for name in ("ledger/03", "ledger/01", "ledger/02", "ledger-bundles/02", "other"):
            notes.create(name, b"x")
        assert list(notes.names("ledger/")) == ["ledger/01", "ledger/02", "ledger/03"]
        assert list(notes.names("ledger/", "ledger/01")) == ["ledger/02", "ledger/03"]
        assert list(notes.names("ledger/", "ledger/03")) == []
