"""Whose token it is, and every token that is refused: real keys, a real directory."""

from __future__ import annotations

import base64
import json
import os
from contextlib import suppress
from pathlib import Path

import libipld
import pytest
from _plc import NOW, SERVICE_DID, SKELETON, Account, FakePLC, base64url, plc_did
from _trials import trials
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from feedkit.auth import Authenticator, BadToken, KeyUnavailable, keys
from feedkit.auth.keys import Key, NoKey, key_of
from feedkit.auth.token import LEEWAY, LONGEST_LIFE
from feedkit.settings import Network, Service

SHARED = Path(os.environ.get("FEEDKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
VECTORS = SHARED / "protocol" / "interop" / "crypto" / "signature-fixtures.json"
RECORDED = SHARED / "network" / "recorded"

ALICE, BOB = Account(plc_did(1)), Account(plc_did(2), "ES256", "old")


def service(plc="http://127.0.0.1:1", did=SERVICE_DID):
    return Service("feeds.example.com", "alice.test", did, {}, network=Network(plc=plc))


@pytest.fixture(scope="module")
def plc():
    with FakePLC().serving() as plc:
        yield plc


@pytest.fixture(params=["libsecp256k1", "OpenSSL"])
def library(request, monkeypatch):
    """What proves signatures: where the first has no wheel, the second does it all."""
    if request.param == "OpenSSL":
        monkeypatch.setattr(keys, "PublicKey", None)
    else:
        pytest.importorskip("coincurve")


@pytest.fixture
def auth(plc):
    plc.documents.clear()
    plc.asked.clear()
    plc.add(ALICE, BOB)
    return Authenticator(service(plc.address), now=lambda: NOW)


def refused(auth, token, method=SKELETON):
    with pytest.raises(BadToken) as caught:
        auth.viewer(f"Bearer {token}", method)
    assert caught.value.status == 401
    assert caught.value.message
    return caught.value.error


@pytest.mark.parametrize("style", ["multikey", "old"])
@pytest.mark.parametrize("algorithm", ["ES256K", "ES256"])
@pytest.mark.parametrize("full", [False, True], ids=["#atproto", "did#atproto"])
def test_every_kind_of_key_document(library, auth, plc, algorithm, style, full):
    account = Account(plc_did(7), algorithm, style)
    name = f"{account.did}#atproto" if full else "#atproto"
    plc.documents[account.did] = account.document(name)
    for _ in range(8):  # signatures differ each time
        assert auth.viewer(f"Bearer {account.token()}", SKELETON) == account.did
    assert plc.asked == [account.did]


def test_the_right_one_of_several_keys(auth, plc):
    label, other = Account(ALICE.did), Account(plc_did(9))
    document = ALICE.document()
    document["verificationMethod"][:0] = [
        label.method("#atproto_label"), other.method(f"{other.did}#atproto"), other.method(f"{ALICE.did}#other"),
    ]  # fmt: skip
    plc.documents[ALICE.did] = document
    assert auth.viewer(f"Bearer {ALICE.token()}", SKELETON) == ALICE.did
    for account in (label, other):
        account.did = ALICE.did
        assert refused(auth, account.token()) == "BadJwtSignature"
        assert refused(auth, account.token({"kid": "atproto_label"})) == "BadJwtSignature"


@pytest.mark.parametrize("header", [None, "", "  "])
def test_without_a_header_one_is_signed_out(auth, plc, header):
    assert auth.viewer(header, SKELETON) is None
    assert not plc.asked


@pytest.mark.parametrize(
    "token",
    [
        ALICE.token(aud=f"{SERVICE_DID}#bsky_fg"),
        ALICE.token(exp=NOW + 59.5),
        ALICE.token(exp=NOW),
        ALICE.token(exp=NOW + LONGEST_LIFE + LEEWAY),
        ALICE.token(iat=NOW + 30),
        ALICE.token(nbf=NOW + 30, iat=NOW + 0.25),
        ALICE.token(without="iat"),
        ALICE.token(without="jti"),
        ALICE.token(without="typ"),
        ALICE.token({"kid": "atproto"}),
        ALICE.token({"kid": "#atproto"}),
        ALICE.token(other={"deep": [[[]]]}),
    ],
    ids=["aud with service", "float exp", "exp now", "exp in an hour", "iat ahead", "nbf ahead", "no iat", "no jti", "no typ", "kid", "#kid", "more claims"],
)  # fmt: skip
def test_good_tokens(auth, token):
    assert auth.viewer(f"Bearer {token}", SKELETON) == ALICE.did
    assert auth.viewer(f"bearer  {token} ", SKELETON) == ALICE.did


def test_high_s_is_taken_and_der_is_not(library, auth):
    head = json.dumps({"typ": "JWT", "alg": "ES256K"}).encode()
    body = json.dumps(
        {"iss": ALICE.did, "aud": SERVICE_DID, "lxm": SKELETON, "exp": NOW + 60}
    ).encode()
    for _ in range(4):
        assert auth.viewer(f"Bearer {ALICE.signed(head, body, high_s=True)}", SKELETON) == ALICE.did
    assert refused(auth, ALICE.signed(head, body, der=True)) == "BadJwtSignature"


_HEAD, _BODY, _SIGNATURE = ALICE.token().split(".")


def swapped(place, part):
    parts = [_HEAD, _BODY, _SIGNATURE]
    parts[place] = part if isinstance(part, str) else base64url(part)
    return ".".join(parts)


def with_zero_bits():
    """The signature with a bit that base64url drops: 64 bytes leave four of them."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(_SIGNATURE[-1]) ^ 1]
    text = _SIGNATURE[:-1] + last
    assert base64.urlsafe_b64decode(text + "==") == base64.urlsafe_b64decode(_SIGNATURE + "==")
    return text


UNASKED = {
    "BadJwt": {
        "nonsense": "nonsense",
        "two parts": ".".join(ALICE.token().split(".")[:2]),
        "four parts": ALICE.token() + ".",
        "five parts": ALICE.token() + ".a.b",
        "empty parts": "..",
        "no signature": swapped(2, ""),
        "padding": swapped(2, _SIGNATURE + "=="),
        "standard base64": swapped(2, "+/" + _SIGNATURE[2:]),
        "a blank within": swapped(2, _SIGNATURE[:5] + " " + _SIGNATURE[5:]),
        "a new line within": swapped(1, _BODY[:5] + "\n" + _BODY[5:]),
        "impossible length": swapped(2, _SIGNATURE[:85]),
        "lost bits": swapped(2, with_zero_bits()),
        "not ASCII": swapped(2, "é" + _SIGNATURE[1:]),
        "a lone surrogate": swapped(2, "\ud800" + _SIGNATURE[1:]),
        "too long": ALICE.token(more="x" * 4096),
        "header no JSON": swapped(0, b"{"),
        "header a list": swapped(0, b"[]"),
        "header null": swapped(0, b"null"),
        "header not UTF-8": swapped(0, b'{"alg":"\xff"}'),
        "claims no JSON": swapped(1, b"{]"),
        "claims a text": swapped(1, b'"x"'),
        "claims deep": swapped(1, b'{"x":' + b"[" * 2000),
        "no alg": ALICE.token(without="alg"),
        "alg a number": ALICE.token({"alg": 256}),
        "alg null": ALICE.token({"alg": None}),
        "crit": ALICE.token({"crit": ["b64"], "b64": False}),
        "kid a number": ALICE.token({"kid": 1}),
        "no iss": ALICE.token(without="iss"),
        "iss a number": ALICE.token(iss=1),
        "no aud": ALICE.token(without="aud"),
        "aud a list": ALICE.token(aud=[SERVICE_DID]),
        "no exp": ALICE.token(without="exp"),
        "exp a text": ALICE.token(exp=str(NOW + 60)),
        "exp true": ALICE.token(exp=True),
        "exp null": ALICE.token(exp=None),
        "exp in ten years": ALICE.token(exp=NOW + 10 * 365 * 86_400),
        "exp in two hours": ALICE.token(exp=NOW + 7200),
        "exp endless": ALICE.token(exp=float("inf")),
        "exp of 500 digits": ALICE.token(exp=10**500),
        "exp not a number": ALICE.token(exp=float("nan")),
        "iat of the future": ALICE.token(iat=NOW + LEEWAY + 1),
        "iat a text": ALICE.token(iat="now"),
        "nbf of the future": ALICE.token(nbf=NOW + LEEWAY + 1),
        "lxm a number": ALICE.token(lxm=1),
    },
    "BadJwtType": {
        "access": ALICE.token({"typ": "at+jwt"}),
        "access, shouted": ALICE.token({"typ": "application/AT+JWT"}),
        "refresh": ALICE.token({"typ": "refresh+jwt"}),
        "proof": ALICE.token({"typ": "dpop+jwt"}),
    },
    "JwtExpired": {
        "a second ago": ALICE.token(exp=NOW - 1),
        "just": ALICE.token(exp=NOW - 0.001),
        "long ago": ALICE.token(exp=0),
        "before 1970": ALICE.token(exp=-(10**400)),
    },
    "BadJwtAudience": {
        "another service": ALICE.token(aud="did:web:api.bsky.app"),
        "another service of ours": ALICE.token(aud=f"{SERVICE_DID}#bsky_appview"),
        "none": ALICE.token(aud=""),
        "more after it": ALICE.token(aud=f"{SERVICE_DID}#bsky_fg2"),
        "a part of it": ALICE.token(aud=SERVICE_DID[:-1]),
        "shouted": ALICE.token(aud=SERVICE_DID.upper()),
    },
    "BadJwtLexiconMethod": {
        "none": ALICE.token(without="lxm"),
        "empty": ALICE.token(lxm=""),
        "another": ALICE.token(lxm="app.bsky.feed.sendInteractions"),
        "every": ALICE.token(lxm="*"),
    },
    "BadJwtIss": {
        "did:key": ALICE.token(iss="did:key:zQ3shZc2QzApp2oymGvQbzP8eKheVshBHbU4ZYjeXqwSKEn6N"),
        "another method": ALICE.token(iss="did:onion:2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid"),
        "a fragment": ALICE.token(iss=f"{ALICE.did}#atproto_labeler"),
        "the key's fragment": ALICE.token(iss=f"{ALICE.did}#atproto"),
        "a handle": ALICE.token(iss="alice.test"),
        "empty": ALICE.token(iss=""),
        "a short plc": ALICE.token(iss="did:plc:abc"),
        "a plc with a path": ALICE.token(iss=f"{ALICE.did}/../x"),
        "a plc shouted": ALICE.token(iss="did:plc:" + "A" * 24),
        "a web with a path": ALICE.token(iss="did:web:example.com:user:alice"),
        "a web with a port": ALICE.token(iss="did:web:example.com%3A8443"),
        "a web with a user": ALICE.token(iss="did:web:a@example.com"),
        "a web too long": ALICE.token(iss="did:web:" + "a." * 200 + "com"),
        "a new line after it": ALICE.token(iss=ALICE.did + "\n"),
    },
    "BadJwtSignature": {
        "alg none": ALICE.token({"alg": "none"}),
        "alg NONE": ALICE.token({"alg": "NONE"}),
        "alg empty": ALICE.token({"alg": ""}),
        "alg HS256": ALICE.token({"alg": "HS256"}),
        "alg es256k": ALICE.token({"alg": "es256k"}),
        "kid of a labeler": ALICE.token({"kid": "#atproto_label"}),
        "kid with the DID": ALICE.token({"kid": f"{ALICE.did}#atproto"}),
        "kid ##": ALICE.token({"kid": "##atproto"}),
        "kid empty": ALICE.token({"kid": ""}),
        "a short signature": swapped(2, b"x" * 63),
        "a long signature": swapped(2, b"x" * 65),
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("error", "token"),
    [(error, token) for error, tokens in UNASKED.items() for token in tokens.values()],
    ids=[f"{error}: {what}" for error, tokens in UNASKED.items() for what in tokens],
)
def test_refused_without_asking_anyone(auth, plc, error, token):
    assert refused(auth, token) == error
    assert not plc.asked


@pytest.mark.parametrize(
    "header", ["Basic YTpi", "Bearer", "Bearer ", "Bearer\t", "DPoP x", ALICE.token()]
)
def test_no_bearer_token(auth, header):
    with pytest.raises(BadToken) as caught:
        auth.viewer(header, SKELETON)
    assert caught.value.error == "AuthMissing"


def tampered():
    head, body, signature = ALICE.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{base64url(json.dumps({**claims, 'iss': BOB.did}).encode())}.{signature}"


@pytest.mark.parametrize(
    "token",
    [
        tampered(),
        swapped(2, bytes(64)),
        swapped(2, b"\xff" * 64),
        swapped(2, bytes(32) + b"\1" * 32),
        swapped(2, b"\1" * 32 + bytes(32)),
        ALICE.token({"alg": "ES256"}),
        BOB.token(iss=ALICE.did),
        BOB.token({"alg": "ES256K"}, iss=ALICE.did),
        Account(ALICE.did).token(),
        ".".join([*BOB.token().split(".")[:2], _SIGNATURE]),
    ],
    ids=["tampered", "zeros", "ones", "r is 0", "s is 0", "alg of another key", "another's", "another's with this alg", "another key", "another signature"],
)  # fmt: skip
def test_signatures_that_are_not_the_viewers(library, auth, token):
    assert refused(auth, token) == "BadJwtSignature"


def test_one_method_s_token_is_not_anothers(auth):
    other = "app.bsky.feed.sendInteractions"
    assert auth.viewer(f"Bearer {ALICE.token(lxm=other)}", other) == ALICE.did
    assert refused(auth, ALICE.token(), other) == "BadJwtLexiconMethod"


@pytest.mark.parametrize(
    "change",
    [
        {"id": BOB.did}, {"id": None}, {"verificationMethod": None}, {"verificationMethod": []},
        {"verificationMethod": {}}, {"verificationMethod": [None, "x", []]},
        {"verificationMethod": [ALICE.method("#atproto_label")]},
        {"verificationMethod": [ALICE.method(f"{BOB.did}#atproto")]},
        {"verificationMethod": [{**ALICE.method(), "type": "JsonWebKey2020"}]},
        {"verificationMethod": [{**ALICE.method(), "type": None}]},
        {"verificationMethod": [{**ALICE.method(), "type": "EcdsaSecp256k1VerificationKey2019"}]},
        {"verificationMethod": [{**BOB.method(), "type": "EcdsaSecp256k1VerificationKey2019"}]},
        {"verificationMethod": [{**ALICE.method(), "publicKeyMultibase": None}]},
        {"verificationMethod": [{**ALICE.method(), "publicKeyMultibase": "z"}]},
        {"verificationMethod": [{**ALICE.method(), "publicKeyMultibase": "z0OIl"}]},
        {"verificationMethod": [{**ALICE.method(), "publicKeyMultibase": libipld.encode_multibase("f", b"\xe7\x01" + ALICE.point())}]},
        {"verificationMethod": [{**ALICE.method(), "publicKeyMultibase": "z" + "1" * 40}]},
        {"verificationMethod": [{**ALICE.method(), "publicKeyMultibase": "z" + "2" * 5000}]},
        {"verificationMethod": [{**ALICE.method(), "publicKeyMultibase": "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"}]},
    ],
    ids=[str(number) for number in range(19)],  # the keys in them differ from run to run
)  # fmt: skip
def test_documents_without_a_usable_key(auth, plc, change):
    plc.documents[ALICE.did] = {**ALICE.document(), **change}
    assert refused(auth, ALICE.token()) == "BadJwtIss"


@pytest.mark.skipif(not VECTORS.exists(), reason="../shared/protocol/interop is not here")
def test_signatures_of_the_protocol_s_vectors(library):
    vectors = json.loads(VECTORS.read_text("utf-8"))
    for vector in vectors:
        did = "did:plc:" + "a" * 24
        message = base64.b64decode(vector["messageBase64"] + "==")
        signature = base64.b64decode(vector["signatureBase64"] + "==")
        multikey = vector["publicKeyDid"].removeprefix("did:key:")
        found = []
        for kind, text in (
            ("Multikey", multikey),
            (vector["didDocSuite"], vector["publicKeyMultibase"]),
        ):
            method = {"id": "#atproto", "type": kind, "publicKeyMultibase": text}
            found.append(key_of({"id": did, "verificationMethod": [method]}, did))
        assert found[0] == found[1]
        # A high s is bad in a repository; in a token it is as good as the low one.
        good = vector["validSignature"] or vector["tags"] == ["high-s"]
        for algorithm in ("ES256", "ES256K"):
            here = good and algorithm == vector["algorithm"]
            assert found[0].signed(message, signature, algorithm) == here, vector["comment"]
            assert not found[0].signed(message + b"x", signature, algorithm)
    assert len(vectors) >= 6


@pytest.mark.skipif(not RECORDED.exists(), reason="../shared/network is not here")
def test_tokens_as_a_real_pds_made_them(plc):
    one = json.loads((RECORDED / "service_jwt.json").read_text("utf-8"))
    two = json.loads((RECORDED / "sendInteractions.json").read_text("utf-8"))
    did = one["claims"]["iss"]
    plc.documents[did] = one["issuerDidDocument"]
    for recorded, method in (
        (one["request"], SKELETON), (two["request"], "app.bsky.feed.sendInteractions"),
    ):  # fmt: skip
        header = recorded["headers"]["Authorization"]
        iat = (one if method == SKELETON else two)["claims"]["iat"]
        at = {"now": iat + 5.0}
        auth = Authenticator(service(plc.address, one["audience"]), now=lambda at=at: at["now"])
        assert auth.viewer(header, method) == did
        assert refused(auth, header.removeprefix("Bearer ")[:-3] + "AAA", method).startswith(
            "BadJwt"
        )
        assert (
            refused(auth, header.removeprefix("Bearer "), "app.bsky.feed.other")
            == "BadJwtLexiconMethod"
        )
        at["now"] = iat + 61.0
        assert refused(auth, header.removeprefix("Bearer "), method) == "JwtExpired"


# ── Nothing but the two exceptions, whatever comes ──────────────────────────────────────────────

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAMES = st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "lxm", "jti"])


def only_two(auth, header):
    try:
        return auth.viewer(header, SKELETON)
    except (BadToken, KeyUnavailable):
        return None


@pytest.fixture(scope="module")
def shut():
    """One whose directory is not there."""
    return Authenticator(service(), now=lambda: NOW)


@settings(max_examples=trials(300), deadline=None)
@given(text=st.text() | st.builds("Bearer {}".format, st.text()))
@example("Bearer " + "." * 5000)
@example("Bearer \x00.\x00.\x00")
def test_any_header(shut, text):
    assert only_two(shut, text) is None


@settings(max_examples=trials(300), deadline=None)
@given(head=st.binary(max_size=60), body=st.binary(max_size=60), signature=st.binary(max_size=70))
def test_any_parts(shut, head, body, signature):
    assert (
        only_two(shut, f"Bearer {base64url(head)}.{base64url(body)}.{base64url(signature)}") is None
    )


@settings(
    max_examples=trials(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    header=st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit"]), JSON, max_size=1),
    claims=st.dictionaries(NAMES, JSON, min_size=1, max_size=1),
)
def test_any_claims(auth, header, claims):
    """Signed by the viewer's own key: what passes names the viewer."""
    assert only_two(auth, f"Bearer {ALICE.token(header, **claims)}") in (None, ALICE.did)


@settings(max_examples=trials(300), deadline=None)
@given(place=st.integers(0, 10_000), letter=st.sampled_from("ABCxyz019-_.= \n"))
def test_any_changed_letter(shut, plc, place, letter):
    token = ALICE.token()
    place %= len(token)
    plc.add(ALICE)
    changed = token[:place] + letter + token[place + 1 :]
    auth = Authenticator(service(plc.address), now=lambda: NOW)
    if changed != token and not (place == len(token) - 1 and letter in " \n"):
        assert only_two(auth, f"Bearer {changed}") is None


@settings(max_examples=trials(300), deadline=None)
@given(document=JSON | st.fixed_dictionaries({"id": st.just(ALICE.did), "verificationMethod": JSON | st.lists(
    st.fixed_dictionaries({"id": st.just("#atproto")}, optional={
        "type": st.sampled_from(["Multikey", "EcdsaSecp256k1VerificationKey2019", "EcdsaSecp256r1VerificationKey2019"]) | JSON,
        "publicKeyMultibase": JSON | st.binary(max_size=70).map(lambda raw: libipld.encode_multibase("z", raw)),
    }), max_size=2)}))  # fmt: skip
def test_any_document(document):
    if isinstance(document, dict):
        with suppress(NoKey):
            assert isinstance(key_of(document, ALICE.did), Key)
