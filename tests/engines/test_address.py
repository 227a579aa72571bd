"""Which addresses are public, in all the ways to write one, and which URLs are refused before anything is sent."""

import pytest

from flockd.engines.address import LIFT, is_public, literal, shown, url_problem

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "0.0.0.0", "0.1.2.3", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "2001:db8::1", "100::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001::f5ff:fffe",
    "localhost", "127.1", "0177.0.0.1", "2130706433", "1.1.1.1 ", "", "example.com",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_or_no_plain_address(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("::1", "::1"),
        ("localhost", "127.0.0.1"),
        ("LOCALHOST.", "127.0.0.1"),
        ("api.localhost", "127.0.0.1"),
    ],
)
def test_a_host_that_is_an_address(host: str, address: str) -> None:
    assert str(literal(host)) == address


@pytest.mark.parametrize(
    "host", ["example.com", "localhost.example.com", "10.0.0.1.nip.io", "münchen.example"]
)
def test_a_host_that_is_a_name(host: str) -> None:
    assert literal(host) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/price",
        "https://10.1.2.3/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://１２７.0.0.1/",  # which browsers and clients read as digits
        "http://169.254.169.254/latest/meta-data",
        "http://metadata.localhost/",
    ],
)
def test_a_private_url_is_refused_and_the_sentence_says_what_lifts_it(url: str) -> None:
    problem = url_problem(url, allow_private=False)
    assert problem is not None
    assert problem.endswith(f"is a private address: {LIFT}")
    assert url_problem(url, allow_private=True) is None


@pytest.mark.parametrize(
    "url", ["https://example.com/price", "http://1.1.1.1:8080/", "https://[2606:4700::1]/x?y=z"]
)
def test_a_public_url_is_fine(url: str) -> None:
    assert url_problem(url, allow_private=False) is None


@pytest.mark.parametrize(
    "url", ["", "example.com", "/price", "ftp://example.com/", "file:///etc/passwd", "http://"]
)
def test_only_urls_of_services(url: str) -> None:
    problem = url_problem(url, allow_private=True)
    assert problem is not None
    assert "write https://host/path" in problem


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/",
        "http://example.com:port/",
        "http://example.com:99999/",
        "http://example..com/",
        "http://.com/",
        f"http://{'a' * 64}.com/",
    ],
)
def test_what_is_no_url(url: str) -> None:
    problem = url_problem(url, allow_private=True)
    assert problem is not None
    assert problem.startswith("this is no URL")


@pytest.mark.parametrize("url", ["https://me:hunter2@example.com/", "https://hunter2@example.com/"])
def test_no_passwords_in_urls_and_the_sentence_quotes_none(url: str) -> None:
    problem = url_problem(url, allow_private=True)
    assert problem is not None
    assert "headers = {Authorization" in problem
    assert "hunter2" not in problem


def test_a_url_is_shown_without_its_query() -> None:
    assert shown("https://example.com:8443/a/b?key=hunter2#c") == "https://example.com:8443/a/b"
