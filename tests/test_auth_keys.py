"""The keys of viewers: kept, asked for again, shared by requests, bounded."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from _plc import NOW, SKELETON, Account, FakePLC, plc_did
from test_auth_token import service

from feedkit.auth import SHORT, Authenticator, BadToken, KeyUnavailable, known
from feedkit.auth.documents import Documents
from feedkit.auth.lookups import Full, Lane, Lookups, TooLong


@pytest.fixture
def plc():
    with FakePLC().serving() as plc:
        yield plc


class Clock:
    """Goes on when told, and a microsecond each time it is read."""

    def __init__(self):
        self.at = 1000.0

    def __call__(self):
        self.at += 1e-6
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def auth(plc, clock):
    return Authenticator(service(plc.address), now=lambda: NOW, clock=clock)


@pytest.fixture
def alice(plc):
    alice = Account(plc_did(1))
    plc.add(alice)
    return alice


def who(auth, account):
    """The viewer, or the name of the error."""
    try:
        return auth.viewer(f"Bearer {account.token()}", SKELETON)
    except (BadToken, KeyUnavailable) as error:
        return error.error


def test_a_key_is_asked_for_once_an_hour(auth, plc, alice, clock):
    for _ in range(20):
        assert who(auth, alice) == alice.did
    clock.at += known.FRESH - 1
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 1
    clock.at += 2
    for _ in range(20):
        assert who(auth, alice) == alice.did
    wait_until(lambda: not looked_up(alice.did))
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 2


@pytest.mark.parametrize("algorithm", ["ES256K", "ES256"])
def test_a_new_key_is_known_at_its_first_token(auth, plc, alice, clock, algorithm):
    assert who(auth, alice) == alice.did
    before = alice.token()
    alice.rotate(algorithm)
    plc.add(alice)
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 2
    with pytest.raises(BadToken, match="not signed"):
        auth.viewer(f"Bearer {before}", SKELETON)


def test_a_forger_is_first_after_the_key_has_changed(auth, plc, alice):
    assert who(auth, alice) == alice.did
    alice.rotate()
    plc.add(alice)
    assert who(auth, Account(alice.did)) == "BadJwtSignature"
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 2


def test_bad_signatures_make_us_ask_three_times_a_minute_at_most(auth, plc, alice, clock):
    forger = Account(alice.did)
    assert who(auth, alice) == alice.did
    for _ in range(50):
        assert who(auth, forger) == "BadJwtSignature"
    assert len(plc.asked) == 1 + known.FORCED
    clock.at += 61
    for _ in range(50):
        assert who(auth, forger) == "BadJwtSignature"
    assert len(plc.asked) == 1 + 2 * known.FORCED
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 1 + 2 * known.FORCED


def test_a_key_just_fetched_is_not_fetched_again(auth, plc, alice):
    assert who(auth, Account(alice.did)) == "BadJwtSignature"
    assert len(plc.asked) == 1


def test_a_did_that_there_is_not(auth, plc, clock):
    """The refusal is remembered for a minute, and nothing breaks."""
    nobody = Account(plc_did(404))
    for _ in range(20):
        assert who(auth, nobody) == "BadJwtIss"
    assert len(plc.asked) == 1
    plc.add(nobody)
    assert who(auth, nobody) == "BadJwtIss"
    clock.at += known.REFUSED + 1
    assert who(auth, nobody) == nobody.did


def test_a_did_that_is_no_more(auth, plc, alice, clock):
    assert who(auth, alice) == alice.did
    plc.documents.clear()
    clock.at += known.FRESH + 1
    plc.slow = 0.3
    assert who(auth, alice) == alice.did  # once more, while the directory is asked
    wait_until(lambda: not looked_up(alice.did))
    assert who(auth, alice) == "BadJwtIss"
    plc.slow, plc.status = 0.0, 410
    clock.at += known.REFUSED + 1
    assert who(auth, alice) == "BadJwtIss"


@pytest.mark.parametrize("status", [500, 503, 429, 302, 204])
def test_a_directory_that_cannot_answer(auth, plc, alice, clock, status):
    plc.status = status
    for _ in range(20):
        assert who(auth, alice) == "KeyUnavailable"
    assert len(plc.asked) == 1  # remembered for some seconds
    plc.status = 0
    clock.at += known.AWAY + 1
    assert who(auth, alice) == alice.did


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"[" * 5000, b" " * 70_000, b"\xff"], ids=range(7)
)
def test_a_directory_that_answers_nonsense(auth, plc, alice, body):
    plc.documents[alice.did] = body
    assert who(auth, alice) == "KeyUnavailable"


def test_an_old_key_goes_on_while_the_directory_is_away(auth, plc, alice, clock):
    assert who(auth, alice) == alice.did
    plc.status = 503
    clock.at += known.FRESH + 1
    for _ in range(20):
        assert who(auth, alice) == alice.did
        wait_until(lambda: not looked_up(alice.did))
    assert len(plc.asked) == 2  # then patience
    clock.at += known.PATIENCE + 1
    assert who(auth, alice) == alice.did
    wait_until(lambda: not looked_up(alice.did))
    assert len(plc.asked) == 3
    clock.at += known.STALE
    assert who(auth, alice) == "KeyUnavailable"
    plc.status = 0
    clock.at += known.AWAY + 1
    assert who(auth, alice) == alice.did


def test_a_bad_signature_while_the_directory_is_away(auth, plc, alice, clock):
    assert who(auth, alice) == alice.did
    plc.status = 503
    assert who(auth, Account(alice.did)) == "BadJwtSignature"
    assert who(auth, alice) == alice.did
    plc.status = 0
    clock.at += known.PATIENCE + 1
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 2  # the key is believed as long as before


def test_nobody_listens(alice):
    auth = Authenticator(service("http://127.0.0.1:1"), now=lambda: NOW)
    with pytest.raises(KeyUnavailable, match="cannot be fetched now") as caught:
        auth.viewer(f"Bearer {alice.token()}", SKELETON)
    assert caught.value.status == 503


@pytest.mark.parametrize(
    "address", ["http://", "nonsense", "ftp://127.0.0.1", "http://[::1", "http://ü.test"]
)
def test_an_address_that_is_none(alice, address):
    assert who(Authenticator(service(address), now=lambda: NOW), alice) == "KeyUnavailable"


@pytest.mark.parametrize(("slow", "drip"), [(30.0, 0.0), (0.0, 0.2)], ids=["hangs", "drips"])
def test_nobody_waits_longer_than_said(plc, alice, slow, drip):
    """The server would take half a minute; so would we, were the limit for each read."""
    plc.slow, plc.drip = slow, drip
    keys = known.Known(Documents(plc.address), longest=0.4)
    before = time.monotonic()
    with pytest.raises(KeyUnavailable):
        keys.key(alice.did)
    assert time.monotonic() - before < 10
    # The thread that asked has ended too, not only our patience with it.
    wait_until(lambda: not looked_up(alice.did))


def looked_up(did):
    """Whether a look-up of it is under way."""
    return any(thread.name == f"look up {did}" for thread in threading.enumerate())


def wait_until(true, longest=10.0):
    end = time.monotonic() + longest
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def timed(auth, account, patience=SHORT):
    """The viewer or the name of the error, and how many seconds that took."""
    began = time.monotonic()
    try:
        found = auth.viewer(f"Bearer {account.token()}", SKELETON, patience)
    except (BadToken, KeyUnavailable) as error:
        found = error.error
    return found, time.monotonic() - began


def test_a_page_waits_little_and_the_next_one_knows_who_it_is(auth, plc, alice):
    plc.slow = 1.5
    found, took = timed(auth, alice)
    assert (found, took < 0.5) == ("KeyUnavailable", True)
    wait_until(lambda: not looked_up(alice.did))
    found, took = timed(auth, alice)
    assert (found, took < 0.3) == (alice.did, True)
    assert len(plc.asked) == 1


def test_who_can_wait_waits_for_the_look_up_that_a_page_began(auth, plc, alice):
    plc.slow = 1.0
    assert timed(auth, alice)[0] == "KeyUnavailable"
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 1


def test_a_page_that_did_not_wait_keeps_nobody_waiting_later(auth, plc, alice, clock):
    """Its patience says nothing of the directory; that it could not be asked does, for seconds."""
    plc.slow = 9.0
    for _ in range(2):
        assert timed(auth, alice)[0] == "KeyUnavailable"
    wait_until(lambda: not looked_up(alice.did))
    plc.slow = 0.0
    found, took = timed(auth, alice)
    assert (found, took < 0.3) == ("KeyUnavailable", True)
    clock.at += known.AWAY + 1
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 2


def test_an_old_key_is_used_at_once(auth, plc, alice, clock):
    assert who(auth, alice) == alice.did
    clock.at += known.FRESH + 1
    plc.slow = 1.5
    for patience in (SHORT, None):
        found, took = timed(auth, alice, patience)
        assert (found, took < 0.3) == (alice.did, True)
    wait_until(lambda: not looked_up(alice.did))
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 2
    clock.at += known.STALE + 1
    assert timed(auth, alice)[0] == "KeyUnavailable"


@pytest.mark.parametrize("slow", [0.0, 1.0])
def test_a_new_key_where_the_old_one_is_old(auth, plc, alice, clock, slow):
    """The old key is no reason to call a token bad that the new one signed."""
    assert who(auth, alice) == alice.did
    alice.rotate()
    plc.add(alice)
    clock.at += known.FRESH + 1
    plc.slow = slow
    found, took = timed(auth, alice)
    assert (found, took < 0.5) == ("KeyUnavailable" if slow else alice.did, True)
    wait_until(lambda: not looked_up(alice.did))
    assert who(auth, alice) == alice.did
    assert len(plc.asked) == 2


def test_a_bad_token_is_bad_however_slow_the_directory_is(auth, plc, alice):
    assert who(auth, alice) == alice.did
    plc.slow = 1.5
    found, took = timed(auth, Account(alice.did))
    assert (found, took < 0.5) == ("BadJwtSignature", True)
    wait_until(lambda: not looked_up(alice.did))
    for _ in range(known.FORCED - 1):
        timed(auth, Account(alice.did))
        wait_until(lambda: not looked_up(alice.did))
    found, took = timed(auth, Account(alice.did))
    assert (found, took < 0.1) == ("BadJwtSignature", True)


def test_a_resolver_that_hangs_holds_no_request(alice):
    """What cannot be interrupted runs on alone."""
    go = threading.Event()

    def hangs(host):
        assert go.wait(30)
        return ["203.0.113.1"]

    keys = known.Known(Documents("http://127.0.0.1:1", hangs), longest=0.2)
    before = time.monotonic()
    with pytest.raises(KeyUnavailable, match="too long"):
        keys.key("did:web:slow.com")
    with pytest.raises(KeyUnavailable):
        keys.key("did:web:slow.com")
    assert time.monotonic() - before < 10
    go.set()


# ── Many at once ────────────────────────────────────────────────────────────────────────────────


def all_at_once(count, work):
    barrier = threading.Barrier(count)

    def one(number):
        barrier.wait(10)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_sixteen_requests_of_one_viewer_share_a_question(plc, alice):
    plc.slow = 0.1
    auth = Authenticator(service(plc.address), now=lambda: NOW)
    token = alice.token()
    assert all_at_once(16, lambda _: auth.viewer(f"Bearer {token}", SKELETON)) == [alice.did] * 16
    assert plc.asked == [alice.did]


def test_sixteen_threads_and_sixteen_viewers(plc):
    """No one is taken for another, while keys change and forgers try."""
    accounts = [Account(plc_did(n), ("ES256K", "ES256")[n % 2]) for n in range(16)]
    plc.add(*accounts)
    auth = Authenticator(service(plc.address), now=lambda: NOW)

    def work(number):
        seen = []
        for turn in range(40):
            account = accounts[(number + turn) % 16]
            seen.append(who(auth, account) == account.did)
            if turn % 10 == 5:
                seen.append(who(auth, Account(account.did)) == "BadJwtSignature")
        return all(seen)

    assert all(all_at_once(16, work))
    assert len(plc.asked) <= 16 * (1 + known.FORCED)


def test_a_new_key_in_sixteen_threads(plc, alice, clock):
    auth = Authenticator(service(plc.address), now=lambda: NOW, clock=clock)
    assert who(auth, alice) == alice.did
    alice.rotate()
    plc.add(alice)
    plc.slow = 0.05
    token = alice.token()
    assert all_at_once(16, lambda _: auth.viewer(f"Bearer {token}", SKELETON)) == [alice.did] * 16
    assert len(plc.asked) <= 1 + known.FORCED


def test_few_questions_at_once(plc):
    plc.slow = 0.05
    accounts = [Account(plc_did(n)) for n in range(24)]
    plc.add(*accounts)
    auth = Authenticator(service(plc.address), now=lambda: NOW)
    assert all_at_once(24, lambda n: who(auth, accounts[n])) == [a.did for a in accounts]
    assert 1 < plc.most <= 8


def always():
    return True


def test_few_requests_wait():
    """Beyond them nobody waits, nor counts against the DID."""
    go = threading.Event()
    lookups, lane = Lookups(lambda did: go.wait(20)), Lane(most=1, waiting=2)
    first, second = (
        threading.Thread(target=lookups.wait, args=("did:web:a.com", lane, 20.0, always))
        for _ in range(2)
    )
    first.start()
    second.start()
    wait_until(lambda: lane.waiting._value == 0)
    with pytest.raises(Full):
        lookups.wait("did:web:b.com", lane, 20.0, always)
    go.set()
    first.join(10)
    second.join(10)
    lookups.wait("did:web:b.com", lane, 20.0, always)


def test_a_full_lane_keeps_old_keys_in_use(plc, alice, clock):
    keys = known.Known(Documents(plc.address), clock)
    key = keys.key(alice.did)
    keys._plc = Lane(most=1, waiting=1)
    assert keys._plc.waiting.acquire()
    clock.at += known.FRESH + 1
    assert keys.key(alice.did) == key
    with pytest.raises(KeyUnavailable, match="too many"):
        keys.key(plc_did(2))
    keys._plc.waiting.release()
    assert keys.key(alice.did) == key
    wait_until(lambda: not looked_up(alice.did))
    assert len(plc.asked) == 2  # the full lane was not held against her
    assert keys._plc.waiting.acquire()
    clock.at += known.STALE + 1
    with pytest.raises(KeyUnavailable, match="too many"):
        keys.key(alice.did)


def test_no_free_place_in_time():
    go = threading.Event()
    lookups, lane = Lookups(lambda did: go.wait(20)), Lane(most=1, waiting=9)
    with pytest.raises(TooLong):
        lookups.wait("did:web:a.com", lane, 0.05, always)
    with pytest.raises(TooLong, match="too many"):
        lookups.wait("did:web:b.com", lane, 0.05, always)
    go.set()


def test_memory_is_bounded_and_forgers_push_nobody_out(plc, alice, clock):
    keys = known.Known(Documents(plc.address), clock, most=10)
    keys.key(alice.did)
    keys.prove(alice.did)
    for number in range(100, 150):
        with pytest.raises(BadToken):
            keys.key(plc_did(number))
    assert len(keys) == 11
    keys.key(alice.did)
    assert plc.asked.count(alice.did) == 1
    for number in range(200, 230):
        plc.add(Account(plc_did(number)))
        keys.key(plc_did(number))
        keys.prove(plc_did(number))
    assert len(keys) <= 20
    assert plc.asked.count(alice.did) == 1
    keys.key(alice.did)  # she was the longest away
    assert plc.asked.count(alice.did) == 2


def test_only_a_good_token_proves_who_one_is(auth, plc, alice):
    bob = Account(plc_did(2))
    plc.add(bob)
    assert who(auth, Account(bob.did)) == "BadJwtSignature"
    assert who(auth, alice) == alice.did
    assert (list(auth._known._proved), list(auth._known._tried)) == ([alice.did], [bob.did])


def test_our_own_mistake_is_no_500(plc, alice, caplog):
    class Broken(Documents):
        def fetch(self, did, deadline):
            raise ZeroDivisionError

    auth = Authenticator(service(plc.address), now=lambda: NOW, documents=Broken(plc.address))
    assert who(auth, alice) == "KeyUnavailable"
    assert "please report this" in caplog.text
