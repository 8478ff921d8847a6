"""Host patterns match by whole labels, whatever is tried."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from panotui.site.hosts import HostPattern, canonical_host

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(
    lambda x: not x.startswith("xn--")
)
NAME = (
    st.lists(LABEL, min_size=2, max_size=6)
    .map(".".join)
    .filter(lambda n: not n.split(".")[-1].isdigit())
)


@given(NAME)
def test_a_name_matches_itself_in_any_spelling(name: str) -> None:
    pattern = HostPattern(name)
    for spelling in (name, name.upper(), f"{name}.", name.title()):
        assert pattern.matches(spelling)


@given(NAME, LABEL)
def test_a_name_never_matches_with_a_label_more(name: str, label: str) -> None:
    pattern = HostPattern(name)
    assert not pattern.matches(f"{label}.{name}")
    assert not pattern.matches(f"{name}.{label}")
    assert not pattern.matches(f"{label}{name}")
    assert not pattern.matches(f"{name}{label}")


@given(NAME, st.lists(LABEL, min_size=1, max_size=4))
def test_a_star_takes_one_or_more_whole_labels(name: str, labels: list[str]) -> None:
    pattern = HostPattern(f"*.{name}")
    assert pattern.matches(".".join([*labels, name]))
    assert not pattern.matches(f"{labels[0]}{name}")
    # the bare name matches only if its own first labels can be the star's
    assert not pattern.matches(name)


@given(NAME, LABEL)
def test_a_star_inside_a_label_stays_inside_it(name: str, label: str) -> None:
    pattern = HostPattern(f"*-ats.{name}")
    assert pattern.matches(f"{label}-ats.{name}")
    assert not pattern.matches(f"-ats.{name}")
    assert not pattern.matches(f"{label}.{label}-ats.{name}")
    assert not pattern.matches(f"{label}-atsx.{name}")


@given(NAME, NAME)
def test_different_names_never_match(one: str, other: str) -> None:
    assume(one != other)
    assert not HostPattern(one).matches(other)


@given(st.text(max_size=400))
def test_no_text_makes_matching_fall(text: str) -> None:
    assert HostPattern("*.example.com").matches(text) in (True, False)
    known = canonical_host(text)
    assert known is None or canonical_host(known) == known


@given(NAME, st.integers(0, 20))
def test_stars_in_the_middle_find_their_labels(name: str, extra: int) -> None:
    assert HostPattern(f"a.*.{name}").matches(".".join(["a", *["x"] * (extra + 1), name]))
    assert not HostPattern(f"a.*.{name}").matches(f"a.{name}")


def test_letters_that_look_alike_do_not_match() -> None:
    pattern = HostPattern("logs.us-east-1.amazonaws.com")
    assert not pattern.matches("logs.us-east-1.аmazonaws.com")  # Cyrillic
    assert not pattern.matches("l0gs.us-east-1.amazonaws.com")
    assert not pattern.matches("logs.us-east-1.amazonaws.com\0.evil.example")
    assert not pattern.matches("logs.us-east-1.amazonaws.com/evil.example")
    assert not pattern.matches("evil.example#.logs.us-east-1.amazonaws.com")


def test_international_names_are_compared_in_their_ascii_form() -> None:
    assert HostPattern("bücher.example").matches("xn--bcher-kva.example")
    assert HostPattern("xn--bcher-kva.example").matches("BÜCHER.example.")


def test_addresses_match_in_any_spelling_and_never_as_names() -> None:
    assert HostPattern("2001:db8::1").matches("2001:0db8:0::1")
    assert HostPattern("192.0.2.1").matches("192.0.2.1")
    assert not HostPattern("*.2.1").matches("192.0.2.1")


@pytest.mark.parametrize("text", ["", "*", "*.*", "a..b", "**.a", "a b", "-a.b", "a*b*c.d", "."])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|label"):
        HostPattern(text)
