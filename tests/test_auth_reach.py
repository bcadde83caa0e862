"""Where a token may lead: no private address is ever asked, whatever a did:web says."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
from _plc import NOW, SKELETON, Account, FakePLC, plc_did
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from test_auth_token import service

from feedkit.auth import Authenticator, BadToken, KeyUnavailable
from feedkit.auth.documents import Documents
from feedkit.auth.reachable import is_public

HOST = "viewer.example.com"
WELL_KNOWN = ".well-known/did.json"
LOOPBACK = "127.0.0.1"

PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808"]  # fmt: skip
BLOCKED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1",
    "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1",
    "", "localhost", "127.1", "2130706433", "0x7f.1", "1.1.1.1 ",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize("address", BLOCKED, ids=repr)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


PRIVATE = st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16", "100.64.0.0/10"]).flatmap(
    lambda net: st.ip_addresses(network=net)
)  # fmt: skip


@given(private=PRIVATE, rest=st.integers(0, 2**80 - 1))
def test_no_wrapping_makes_a_private_address_public(private, rest):
    number = int(private)
    for wrapped in (
        number, 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x64FF9B0001 << 80 | number,
        0x2002 << 112 | number << 80 | rest, 0x20010000 << 96 | (number ^ 0xFFFFFFFF), 0xFFFF << 48 | number,
    ):  # fmt: skip
        assert not is_public(str(ipaddress.IPv6Address(wrapped)))
    assert not is_public(str(private))


# ── Servers that count who comes ────────────────────────────────────────────────────────────────


class Counter:
    """Listens on loopback; `count` connections have come."""

    def __init__(self):
        self.count = 0
        self._socket = socket.create_server((LOOPBACK, 0))
        self._socket.settimeout(0.05)
        self.port = self._socket.getsockname()[1]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._end.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.count += 1
            connection.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def counter():
    with Counter() as counter:
        yield counter


def test_the_counter_counts(counter):
    socket.create_connection((LOOPBACK, counter.port)).close()
    end = threading.Event()
    for _ in range(100):
        if counter.count or end.wait(0.05):
            break
    assert counter.count == 1


def who(auth, did, account=None):
    account = account or Account(did)
    try:
        return auth.viewer(f"Bearer {account.token(iss=did)}", SKELETON)
    except (BadToken, KeyUnavailable) as error:
        return error.error


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "[::1]", "::1", "%5B%3A%3A1%5D", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "127.1", "127.0.0.0x1",
        "localhost", "localhost.", "LOCALHOST", "localhost%3A{port}", "127.0.0.1%3A{port}", "127.0.0.1:{port}", "a.localhost", "foo.local",
        "foo.LOCAL", "db.internal", "x.test", "x.example", "x.invalid", "x.onion", "x.alt", "1.0.0.127.in-addr.arpa", "metadata", "a..com",
        "-a.com", "a-.com", "a_b.com", "a.com.", ".a.com", "ü.com", "a.com/..", "a.com%2F..", "a.com?x", "a.com#x", "user@a.com", "a.com:u:x",
        "a.com\n", "a.com\x00", "",
    ],
    ids=repr,
)  # fmt: skip
def test_names_that_are_not_even_looked_up(counter, host):
    asked = []

    def resolve(host):
        asked.append(host)
        return [LOOPBACK]

    documents = Documents("http://127.0.0.1:1", resolve, lambda _: True, counter.port)
    auth = Authenticator(service(), now=lambda: NOW, documents=documents)
    assert who(auth, "did:web:" + host.replace("{port}", str(counter.port))) == "BadJwtIss"
    assert not asked
    assert counter.count == 0


@pytest.mark.parametrize("addresses", [[LOOPBACK], ["::1"], ["::ffff:127.0.0.1"], ["1.1.1.1", LOOPBACK], [LOOPBACK, "1.1.1.1"], []], ids=repr)  # fmt: skip
def test_names_of_private_hosts_are_asked_nothing(counter, addresses):
    asked = []

    def resolve(host):
        asked.append(host)
        return addresses

    documents = Documents(f"http://{LOOPBACK}:{counter.port}", resolve, port=counter.port)
    auth = Authenticator(service(), now=lambda: NOW, documents=documents)
    for _ in range(5):
        assert who(auth, f"did:web:{HOST}") == "BadJwtIss"
    assert asked == [HOST]  # the refusal is remembered
    assert counter.count == 0


def test_the_systems_own_resolver(monkeypatch, counter):
    """With a name that the system resolves to this machine, and as a service has it."""
    real, asked = socket.getaddrinfo, []

    def resolve(host, port, *rest, **more):
        asked.append((host, port))
        return real(LOOPBACK if HOST in host else host, counter.port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    auth = Authenticator(service(), now=lambda: NOW)
    assert who(auth, f"did:web:{HOST}") == "BadJwtIss"
    assert asked == [(f"{HOST}.", 443)]  # with its full stop: no search domains
    assert counter.count == 0


def test_a_name_that_there_is_not():
    def resolve(host):
        raise socket.gaierror(-2, "Name or service not known")

    auth = Authenticator(service(), now=lambda: NOW, documents=Documents("http://x", resolve))
    assert who(auth, f"did:web:{HOST}") == "KeyUnavailable"


# ── A did:web that works ────────────────────────────────────────────────────────────────────────


def certificate(folder, name):
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.public_bytes(Encoding.PEM)
    )
    return path


class Web:
    """The host of a did:web on loopback, whose name a resolver of its own gives."""

    def __init__(self, plc, trusted):
        self.server, self.names, self.answers = plc, [], []
        self.documents = Documents(
            "http://127.0.0.1:1", self.resolve, lambda address: address == LOOPBACK, plc.port
        )
        self.documents.tls = ssl.create_default_context(cafile=trusted)
        self.clock = 1000.0
        self.auth = Authenticator(
            service(), now=lambda: NOW, clock=self.tick, documents=self.documents
        )
        self.account = Account(f"did:web:{HOST}", "ES256")
        plc.documents[WELL_KNOWN] = self.account.document()

    def tick(self):
        self.clock += 1e-6
        return self.clock

    def resolve(self, host):
        self.names.append(host)
        return self.answers.pop(0) if self.answers else [LOOPBACK]

    def who(self):
        return who(self.auth, self.account.did, self.account)


@contextmanager
def serving(folder, served=HOST, trusted=None):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = certificate(folder, served)
    server.load_cert_chain(path)
    names = []
    server.sni_callback = lambda _, name, __: names.append(name)
    with FakePLC().serving(server) as plc:
        web = Web(plc, trusted or path)
        web.indicated = names
        yield web


@pytest.fixture
def web(tmp_path):
    with serving(tmp_path) as web:
        yield web


def test_a_did_web(web):
    for _ in range(5):
        assert web.who() == web.account.did
    assert web.server.asked == [WELL_KNOWN]
    assert web.server.hosts == [f"{HOST}:{web.server.port}"]
    assert web.indicated == [HOST]
    assert web.names == [HOST]


def test_a_name_is_resolved_once_for_each_question(web):
    """A resolver that says something else the next moment changes nothing."""
    web.answers = [[LOOPBACK], ["10.0.0.1"]]
    assert web.who() == web.account.did
    assert web.names == [HOST]
    web.clock += 3601
    assert web.who() == "BadJwtIss"
    assert web.server.asked == [WELL_KNOWN]


def test_the_next_address_where_one_is_dead(web):
    web.documents.is_allowed = lambda _: True
    web.answers = [["127.0.0.9", LOOPBACK]]
    assert web.who() == web.account.did


def test_another_s_document(web):
    web.server.documents[WELL_KNOWN] = Account("did:web:other.com").document()
    assert web.who() == "BadJwtIss"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(web, counter, status):
    web.server.status = status
    web.server.headers = {"location": f"http://{LOOPBACK}:{counter.port}/{WELL_KNOWN}"}
    assert web.who() == "BadJwtIss"
    assert counter.count == 0


def test_nor_are_those_of_the_directory(counter):
    account = Account(plc_did(1))
    with FakePLC().serving() as plc:
        plc.add(account)
        plc.status = 302
        plc.headers = {"location": f"http://{LOOPBACK}:{counter.port}/"}
        auth = Authenticator(service(plc.address), now=lambda: NOW)
        assert who(auth, account.did, account) == "KeyUnavailable"
    assert counter.count == 0


@pytest.mark.parametrize(("status", "error"), [(404, "BadJwtIss"), (410, "BadJwtIss"), (500, "KeyUnavailable"), (403, "KeyUnavailable")])  # fmt: skip
def test_a_host_without_a_document(web, status, error):
    web.server.status = status
    assert web.who() == error


def test_a_document_of_any_size(web):
    web.server.documents[WELL_KNOWN] = {**web.account.document(), "more": "x" * 60_000}
    assert web.who() == web.account.did
    web.server.documents[WELL_KNOWN] = {**web.account.document(), "more": "x" * 66_000}
    web.clock += 100_000
    assert web.who() == "KeyUnavailable"


def test_the_certificate_of_another_name(tmp_path):
    with serving(tmp_path, "other.example.com") as web:
        assert web.who() == "KeyUnavailable"
        assert not web.server.asked


def test_a_certificate_that_nobody_trusts(tmp_path):
    (tmp_path / "more").mkdir()
    with serving(tmp_path, trusted=certificate(tmp_path / "more", HOST)) as web:
        assert web.who() == "KeyUnavailable"
        assert not web.server.asked


def test_proxies_of_the_environment_are_not_used(web, counter, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{counter.port}")
        monkeypatch.setenv(name.lower(), f"http://{LOOPBACK}:{counter.port}")
    assert web.who() == web.account.did
    account = Account(plc_did(1))
    with FakePLC().serving() as plc:
        plc.add(account)
        auth = Authenticator(service(plc.address), now=lambda: NOW)
        assert who(auth, account.did, account) == account.did
    assert counter.count == 0


def test_a_strangers_host_does_not_hold_up_the_rest():
    """Ten viewers of slow hosts at once: four wait, and a did:plc is answered meanwhile."""
    account, go, names, said = Account(plc_did(1)), threading.Event(), [], []

    def resolve(host):
        names.append(host)
        go.wait(20)
        return [LOOPBACK]

    with FakePLC().serving() as plc:
        plc.add(account)
        auth = Authenticator(service(), now=lambda: NOW, documents=Documents(plc.address, resolve))
        threads = [
            threading.Thread(target=lambda n=n: said.append(who(auth, f"did:web:v{n}.example.com")))
            for n in range(10)
        ]
        for thread in threads:
            thread.start()
        assert who(auth, account.did, account) == account.did
        for thread in threads[:]:
            thread.join(10)
    assert set(said) == {"KeyUnavailable"}
    assert len(said) == 10
    assert len(names) == 4
    go.set()
