"""Reading the site file: what is right is taken, what is wrong is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.errors import SiteError
from panotui.model import Site
from panotui.site.file import check_site, default_paths, load_site, parse_site
from panotui.site.toml_lines import line_map, line_of

GOOD = """\
[site]
name = "plant-7"
topology = "dual"
region = "us-east-1"
vantage = "mirror"
[ports.eth0]
role = "camera"
mac = "02:00:00:00:00:10"
address = "10.20.0.5/24"
interface = "enp3s0"
[network]
local = ["10.20.0.0/24"]
gateways = ["192.168.5.1"]
dns = ["192.168.5.1"]
ntp = ["192.168.5.1", "0.pool.ntp.org"]
[[camera]]
name = "dock"
address = "10.20.0.11"
url = "rtsp://10.20.0.11/stream1"
fps = 15
[[service]]
name = "my-app-dynamodb"
host = "dynamodb.us-east-1.amazonaws.com"
port = 443
direction = "out"
[[listen]]
port = 8080
from = ["192.168.5.0/24"]
"""


def test_a_full_site_file_is_read() -> None:
    site = parse_site(GOOD)
    assert site.site.name == "plant-7"
    assert site.ports["eth0"].address == "10.20.0.5/24"
    assert site.camera[0].fps == 15
    assert site.listen[0].from_ == ("192.168.5.0/24",)


def test_every_field_is_optional() -> None:
    assert parse_site("") == Site()


WRONG = [
    ('[site]\nname = "x"\ntopology = "dula"\n', 3, "site.topology", "did you mean 'dual'"),
    ('[site]\nregoin = "us-east-1"\n', 2, "site.regoin", "did you mean 'region'"),
    ('[site]\nregion = "us-east"\n', 2, "site.region", "us-east-1"),
    ("[site]\nname = 7\n", 2, "site.name", "expected a text, got 7"),
    ('[site]\nprivate_link = "yes"\n', 2, "site.private_link", "expected true or false"),
    ('[sites]\nname = "x"\n', 1, "sites", "did you mean 'site'"),
    ('[ports.eth0]\nmac = "02:00:00:00:00"\n', 2, "ports.eth0.mac", "expected a MAC address"),
    ('[ports.eth0]\naddress = "10.20.0.5"\nrole="cam"\n', 3, "ports.eth0.role", '"camera"'),
    ('[ports.eth0]\naddress = "10.20.0.0/24"\n', 2, "ports.eth0.address", "broadcast address"),
    ('[ports.eth0]\naddress = "10.20.0.256/24"\n', 2, "ports.eth0.address", "with its prefix"),
    ('[network]\nlocal = [\n  "10.0.0.0/8",\n  "10.1.0.1/8",\n]\n', 4, "network.local[2]", "host"),
    ('[network]\ndns = ["dns.example"]\n', 2, "network.dns[1]", "expected an IP address"),
    ('[network]\ndns = "1.1.1.1"\n', 2, "network.dns", "expected a list of texts"),
    ('[[camera]]\nname = "a"\n', 1, "camera[1]", "address is missing"),
    ('[[camera]]\nname = "a"\naddress = "10.0.0.300"\n', 3, "camera[1].address", "IP address"),
    (
        '[[camera]]\nname="a"\naddress="10.0.0.1"\n[[camera]]\nname="a"\naddress="10.0.0.2"\n',
        5,
        "camera[2].name",
        'two cameras are named "a"',
    ),
    (
        '[[camera]]\nname = "a"\naddress = "10.0.0.1"\nurl = "rtsp://u:secret@10.0.0.1/s"\n',
        4,
        "camera[1].url",
        "credentials",
    ),
    (
        '[[camera]]\nname = "a"\naddress = "10.0.0.1"\nurl = "http://10.0.0.1/s"\n',
        4,
        "camera[1].url",
        "rtsp://",
    ),
    ('[[camera]]\nname = "a"\naddress = "10.0.0.1"\nfps = 0\n', 4, "camera[1].fps", "above 0"),
    ('[[service]]\nname = "a"\nhost = "a..b"\n', 3, "service[1].host", "host name"),
    ('[[service]]\nname = "a"\nhost = "*"\n', 3, "service[1].host", "host name"),
    ('[[service]]\nname = "a"\nhost = "a.b"\nport = 0\n', 4, "service[1].port", "1-65535"),
    ('[[service]]\nname = "a"\nhost = "a.b"\nport = 70000\n', 4, "service[1].port", "1-65535"),
    ("[[listen]]\nport = 22\n", 2, "listen[1].port", "8000-9000"),
    ('[[listen]]\nport = 8080\nfrom = ["x"]\n', 3, "listen[1].from[1]", "network"),
    ("[[listen]]\nport = true\n", 2, "listen[1].port", "whole number"),
    ("[listen]\nport = 8080\n", 1, "listen", "array of tables"),
    ("[site]\nname = \n", 2, "", "not valid TOML"),
    ('[site]\nname = "a"\nname = "b"\n', 3, "", "not valid TOML"),
]


@pytest.mark.parametrize(("text", "line", "field", "what"), WRONG)
def test_an_error_names_line_field_and_what_was_expected(
    text: str, line: int, field: str, what: str
) -> None:
    with pytest.raises(SiteError) as caught:
        parse_site(text, "plant.toml")
    message = str(caught.value)
    assert message.startswith(f"plant.toml:{line}: ")
    assert field in message
    assert what.lower() in message.lower()
    assert caught.value.exit_code == 2
    assert "\n" not in message


def test_a_secret_in_a_url_is_never_repeated() -> None:
    for url in ("rtsp://u:hunter2@10.0.0.1/s", "rtsp:/u:hunter2@10.0.0.1", "u:hunter2@h:99999"):
        _, problems = check_site(f'[[camera]]\nname="a"\naddress="10.0.0.1"\nurl="{url}"\n')
        assert problems
        assert not any("hunter2" in p.text for p in problems)


def test_all_problems_are_told_in_the_order_of_their_lines() -> None:
    text = '[site]\nregion = "x"\n[[listen]]\nport = 1\n[[camera]]\nname = "a"\n'
    site, problems = check_site(text)
    assert site is None
    assert [p.line for p in problems if p.error] == [2, 4, 5]


def test_what_is_odd_but_possible_is_a_warning() -> None:
    text = '[site]\nregion = "eu-central-1"\n[[listen]]\nport = 8080\n'
    site, problems = check_site(text)
    assert site is not None
    assert [p.error for p in problems] == [False, False]


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="No such file"):
        load_site(tmp_path / "nowhere.toml")


def test_bytes_that_are_not_utf8_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(b'[site]\nname = "\xff"\n')
    with pytest.raises(SiteError, match=r":2: the text is not UTF-8"):
        load_site(path)


def test_the_site_file_is_found_here_then_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "conf"))
    assert load_site() == Site()
    user = tmp_path / "conf" / "panotui" / "site.toml"
    user.parent.mkdir(parents=True)
    user.write_text('[site]\nname = "of the user"\n')
    assert load_site().site.name == "of the user"
    Path("site.toml").write_text('[site]\nname = "here"\n')
    assert load_site().site.name == "here"
    assert default_paths()[1] == user


@given(st.text(max_size=300))
def test_no_text_makes_the_reader_fall(text: str) -> None:
    site, problems = check_site(text)
    assert (site is None) == any(p.error for p in problems)
    assert all(p.line >= 1 for p in problems)


@given(
    st.lists(
        st.sampled_from(
            [
                "[site]",
                "[ports.eth0]",
                "[[camera]]",
                "[[listen]]",
                'name = "a"',
                "port = 8080",
                'local = ["10.0.0.0/8", # x\n "[", \'#\',\n]',
                'url = """a\n"b" """',
                "ports = {eth0 = {mac = 1}}",
                '"quoted key" = 1',
                "a.b.c = [1, [2, 3], {x = 4}]",
                "# [site]",
            ]
        ),
        max_size=12,
    )
)
def test_every_value_has_a_line_in_the_text(lines: list[str]) -> None:
    text = "\n".join(lines)
    _, problems = check_site(text)
    assert all(1 <= p.line <= text.count("\n") + 1 for p in problems)


def test_lines_of_nested_values_are_found() -> None:
    text = 'a = [\n 1,\n {b = 2},\n]\n[[t]]\nk = 1\n[[t]]\nk = 2\n[t.sub]\nz = "]"\n'
    lines = line_map(text)
    assert lines[("a", 0)] == 2
    assert lines[("a", 1, "b")] == 3
    assert lines[("t", 0, "k")] == 6
    assert lines[("t", 1, "k")] == 8
    assert lines[("t", 1, "sub", "z")] == 10
    assert line_of(lines, ("t", 1, "nothing")) == 7
