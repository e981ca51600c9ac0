"""The guarded fetcher against servers that mean harm."""

import gzip
import socket
import threading
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from newsletter.core.fetch import Address, Fetcher, FetchError, is_public
from tests.servers.odd_web import PAGE, redirects, says, server, to_loopback


def refusal(fetcher: Fetcher, url: str) -> str:
    with pytest.raises(FetchError) as refused:
        fetcher.fetch(url)
    return refused.value.problem


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:c0a8:101::1", "100::1"),
    ],
)
def test_no_address_of_ours_is_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://2130706433/"),
        *("http://0x7f.1/", "http://017700000001/", "http://[::ffff:127.0.0.1]/", "http://0/"),
        "https://127.0.0.1/",
    ],
)
def test_this_machine_is_not_asked_however_it_is_spelt(url: str) -> None:
    assert refusal(Fetcher(), url) in (
        "its address is not on the public internet",
        "there is no such server",
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("file:///etc/passwd", "https://"),
        ("ftp://example.org/", "https://"),
        ("gopher://example.org/", "https://"),
        ("javascript:alert(1)", "https://"),
        ("example.org", "https://"),
        ("", "https://"),
        ("http:///path", "not a URL"),
        ("http://[::1", "not a URL"),
        ("http://a..b/", "not a URL"),
        ("http://example.org:99999/", "not a URL"),
        ("http://user:secret@example.org/", "name or password"),
        ("http://user@example.org/", "name or password"),
        ("http://example.org:22/", "port 22"),
        ("http://example.org:443/", "port 443"),
        ("https://example.org:80/", "port 80"),
        ("http://example.org/" + "a" * 3000, "not a URL"),
    ],
)
def test_what_is_no_web_page_is_not_asked_for(url: str, problem: str) -> None:
    def nobody(host: str, port: int) -> Sequence[str]:
        pytest.fail("a name was looked up")

    said = refusal(Fetcher(resolve=nobody), url)
    assert problem in said
    assert "secret" not in said


def test_a_page_is_fetched_without_cookies_or_credentials() -> None:
    with server(says(PAGE.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"))) as (port, asked):
        fetched = to_loopback(port).fetch(f"http://example.org:{port}/a b?q=é#part")
    assert (fetched.data, fetched.content_type) == (b"hello", "text/html")
    request = asked[0].decode()
    assert request.startswith("GET /a%20b?q=%C3%A9 HTTP/1.1\r\n")
    assert f"Host: example.org:{port}\r\n" in request
    assert not {"cookie", "authorization", "referer"} & set(request.lower().split())


def test_a_redirect_to_this_machine_is_refused() -> None:
    """The first server is on the internet, as far as we know; it sends us home."""

    def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"] if host == "example.org" else ["10.0.0.7"]

    with server(redirects("http://internal.example/secrets")) as (port, asked):
        fetcher = to_loopback(port, resolve=resolve, ports=frozenset({port, 80}))
        assert "public internet" in refusal(fetcher, f"http://example.org:{port}/")
    assert len(asked) == 1


def test_a_redirect_to_a_file_is_refused() -> None:
    with server(redirects("file:///etc/passwd")) as (port, _):
        assert "https://" in refusal(to_loopback(port), f"http://example.org:{port}/")


def test_redirects_end() -> None:
    with server(redirects("/again")) as (port, asked):
        assert "redirects" in refusal(to_loopback(port), f"http://example.org:{port}/")
    assert len(asked) == 6


def test_a_name_that_changes_its_address_is_asked_once() -> None:
    """Rebinding: a public address when it is judged, this machine when it is connected to."""
    elsewhere = ip_address("192.0.2.1")  # RFC 5737: nobody is there
    answers = iter([[str(elsewhere)], ["127.0.0.1"]])
    judged: list[Address] = []

    def judge(address: Address) -> bool:
        judged.append(address)
        return address == elsewhere

    with server(says(PAGE)) as (port, asked):
        fetcher = Fetcher(
            is_allowed=judge,
            resolve=lambda *_: next(answers),
            ports=frozenset({port}),
            patience_seconds=0.05,
        )
        refusal(fetcher, f"http://example.org:{port}/")
    assert judged == [elsewhere]
    assert asked == []
    assert next(answers) == ["127.0.0.1"], "the name was looked up once"


def test_one_private_address_among_others_is_enough() -> None:
    fetcher = Fetcher(resolve=lambda *_: ["93.184.215.14", "127.0.0.1"])
    assert "public internet" in refusal(fetcher, "http://example.org/")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", PAGE.partition(b"\r\n\r\n")[0]])
def test_a_server_that_drips_is_cut_off(head: bytes) -> None:
    """A byte now and then keeps each read alive; the whole has an end all the same."""
    gone = threading.Event()

    def drip(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head)
        try:
            while not gone.wait(0.01):
                connection.sendall(b"X")
        finally:
            gone.set()

    with server(drip) as (port, _):
        fetcher = to_loopback(port, patience_seconds=0.3)
        assert "too long" in refusal(fetcher, f"http://example.org:{port}/")
        gone.set()


def test_a_page_without_an_end_is_left() -> None:
    def endless(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65_536)

    with server(endless) as (port, _):
        fetcher = to_loopback(port, max_bytes=100_000)
        assert "more than 100,000 bytes" in refusal(fetcher, f"http://example.org:{port}/")


def test_a_compressed_bomb_does_not_go_off() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    with server(says(head.encode() + bomb)) as (port, _):
        assert "more than 2,000,000 bytes" in refusal(
            to_loopback(port), f"http://example.org:{port}/"
        )


def test_what_was_compressed_unasked_is_read() -> None:
    body = gzip.compress(b"hello")
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    with server(says(head.encode() + body)) as (port, _):
        assert to_loopback(port).fetch(f"http://example.org:{port}/").data == b"hello"


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"", "cannot"),
        (b"220 smtp.example.org ESMTP\r\n", "answer"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered 404"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "not where"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nxx", "sent as br"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip", "answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n", "answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "answer"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n", "not a URL"),
    ],
)
def test_an_odd_answer_is_a_sentence(reply: bytes, problem: str) -> None:
    with server(says(reply)) as (port, _):
        assert problem in refusal(to_loopback(port), f"http://example.org:{port}/")


def test_https_wants_a_certificate_for_the_name() -> None:
    with server(says(PAGE)) as (port, _):
        said = refusal(to_loopback(port), f"https://example.org:{port}/")
    assert "certificate" in said


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    with server(says(PAGE)) as (port, _):
        pass
    assert "cannot be reached" in refusal(to_loopback(port), f"http://example.org:{port}/")
    nobody = replace(to_loopback(port), resolve=lambda *_: [])
    assert "no such server" in refusal(nobody, f"http://example.org:{port}/")
