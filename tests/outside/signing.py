"""Signatures as an implementation that is not ours makes and reads them: keys in, the library's verdict out."""

import base64
import dataclasses
import datetime
import hashlib
import pathlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
    algorithms,
)

FOUR = ("@method", "@target-uri", "content-digest", "content-length")
FIVE = (*FOUR, "date")

# What each revision of the draft wants a signature to look like.
FORMS = {
    "draft05": {"label": "ocm", "covered_component_ids": FIVE, "include_alg": True},
    "draft07": {"label": "sig1", "covered_component_ids": FOUR, "include_alg": False, "tag": "ocm"},
    "dual": {"label": "ocm", "covered_component_ids": FIVE, "include_alg": True, "tag": "ocm"},
}

ALGORITHMS = {
    "ed25519": algorithms.ED25519,
    "p256": algorithms.ECDSA_P256_SHA256,
    "rsa": algorithms.RSA_V1_5_SHA256,
}


@dataclasses.dataclass
class Message:
    """A request, in the shape that the library reads."""

    method: str
    url: str
    headers: dict


class Lines(list):
    """Header lines in their order, repeated ones kept."""

    def items(self):
        return iter(self)


def encode(number_or_bytes, length=None):
    raw = number_or_bytes
    if isinstance(raw, int):
        raw = raw.to_bytes(length or (raw.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Key:
    """A key pair and the name it is published under."""

    def __init__(self, kind, kid, private):
        self.kind, self.kid, self.private = kind, kid, private

    @classmethod
    def generate(cls, kind, kid):
        make = {
            "ed25519": ed25519.Ed25519PrivateKey.generate,
            "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        }
        return cls(kind, kid, make[kind]())

    @classmethod
    def load(cls, kind, kid, path):
        return cls(kind, kid, serialization.load_pem_private_key(pathlib.Path(path).read_bytes(), None))

    def save(self, path):
        pem = self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pathlib.Path(path).write_bytes(pem)

    def jwk(self):
        public = self.private.public_key()
        if self.kind == "ed25519":
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            members = {"kty": "OKP", "crv": "Ed25519", "x": encode(raw), "alg": "Ed25519"}
        elif self.kind == "p256":
            point = public.public_numbers()
            members = {"kty": "EC", "crv": "P-256", "x": encode(point.x, 32), "y": encode(point.y, 32), "alg": "ES256"}
        else:
            numbers = public.public_numbers()
            members = {"kty": "RSA", "n": encode(numbers.n), "e": encode(numbers.e), "alg": "RS256"}
        return {**members, "kid": self.kid, "use": "sig"}

    def sign(self, message, body, form, now, nonce=None):
        """Adds the headers that belong to a signature, and it. `now` is in seconds since 1970."""
        created = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
        message.headers["Content-Length"] = str(len(body))
        message.headers["Date"] = created.strftime("%a, %d %b %Y %H:%M:%S GMT")
        signer = HTTPMessageSigner(
            signature_algorithm=ALGORITHMS[self.kind],
            key_resolver=MappingKeyResolver(public_keys={}, private_keys={self.kid: self.private}),
        )
        signer.sign(message, key_id=self.kid, created=created, nonce=nonce, body=body, **FORMS[form])


def add_foreign_signature(message, now):
    """What a proxy on the way may add: a signature that is nobody's business but its own."""
    secret = hashlib.sha256(b"the proxy's").digest()
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.HMAC_SHA256,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={"proxy": secret}),
    )
    signer.sign(
        message,
        key_id="proxy",
        created=datetime.datetime.fromtimestamp(now, datetime.timezone.utc),
        label="proxy",
        tag="proxy",
        covered_component_ids=("@method", "@authority", "@path", "@query"),
        use_existing_digest=True,
        append_if_signature_exists=True,
    )


class Verifier(HTTPMessageVerifier):
    """The library's, without its clock: the servers under test have their own, and the tests look at the times."""

    max_clock_skew = datetime.timedelta(days=36_500)


def public_key(jwk):
    if jwk["kty"] == "OKP":
        return "ed25519", ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"]))
    if jwk["kty"] == "EC":
        x, y = (int.from_bytes(decode(jwk[name]), "big") for name in "xy")
        return "p256", ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    n, e = (int.from_bytes(decode(jwk[name]), "big") for name in "ne")
    return "rsa", rsa.RSAPublicNumbers(e, n).public_key()


def verify(message, body, jwks):
    """The one signature for OCM on a request that was received, as far as the library accepts it."""
    refusal = InvalidSignature("There is no key to verify with.")
    for jwk in jwks:
        kind, key = public_key(jwk)
        verifier = Verifier(
            signature_algorithm=ALGORITHMS[kind],
            key_resolver=MappingKeyResolver(public_keys={jwk["kid"]: key}, private_keys={}),
        )
        try:
            (found,) = verifier.verify(message, max_age=None, expect_tag="ocm", require_components=FOUR, body=body)
            return found
        except InvalidSignature as error:
            refusal = error
    raise refusal
