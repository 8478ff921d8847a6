"""Each message reaches the books that name its kind, and no others."""

from __future__ import annotations

from typing import ClassVar

from panotui.engine.engine import Engine
from panotui.model import AnyMessage, NotTls, Site, TlsFinished
from panotui.state.hearing import Hearing
from tests.made_up import START

NOT_TLS = NotTls(time_ns=START, packet=1, interface=0, flow=1, looks_like="ssh")
FINISHED = TlsFinished(time_ns=START, packet=2, interface=0, flow=1)


def test_a_message_goes_to_those_that_hear_its_kind_in_their_order() -> None:
    told: list[tuple[str, str, int]] = []

    class Book:
        hears: ClassVar[frozenset[type]] = frozenset()

        def observe(self, message: AnyMessage, meter: int) -> None:
            told.append((type(self).__name__, type(message).__name__, meter))

    class One(Book):
        hears = frozenset((NotTls,))

    class Two(Book):
        hears = frozenset((NotTls, TlsFinished))

    hearing = Hearing([Book(), One(), Two()])
    for message in (NOT_TLS, FINISHED):
        hearing.tell(message, 3)
    assert told == [("One", "NotTls", 3), ("Two", "NotTls", 3), ("Two", "TlsFinished", 3)]


def test_every_book_of_the_engine_that_learns_from_messages_is_told_of_them() -> None:
    engine = Engine(Site())
    books = [
        book
        for book in vars(engine).values()
        if hasattr(type(book), "hears") and book not in (engine.view, engine.names)
    ]
    assert len(books) >= 8
    for book in books:
        for kind in type(book).hears:
            heard_by = [ear.__self__ for ear in engine._hearing.of(kind)]  # type: ignore[attr-defined]
            assert book in heard_by, (type(book).__name__, kind.__name__)
    assert not engine._hearing.of(NotTls)  # the site's names and the rules take these
