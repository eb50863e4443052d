"""Signs what Schemathesis makes up, with a library that is not ours, so that it gets past the signature to those who read
and decide; or leaves all signatures out, where none is needed. What is made up by the rules is also made to fit: sender,
recipient, token and secret are ones that exist, all but one of them at a time."""

import json
import os
import zlib

import requests
import schemathesis
import signing
from http_message_signatures import HTTPMessageSignaturesException
from schemathesis.generation import GenerationMode

GIVEN = json.loads(os.environ["OUTSIDE_GIVEN"])
EVE = f"eve@{GIVEN['peer']}"

FITTING = {
    "/ocm/shares": {
        "shareWith": GIVEN["recipient"],
        "owner": EVE,
        "sender": EVE,
        "shareType": "user",
        "resourceType": "file",
        "expiration": None,
        "protocol": {"name": "multi", "webdav": {"uri": "a/b", "sharedSecret": "s", "permissions": ["read"]}},
    },
    "/ocm/invite-accepted": {"recipientProvider": GIVEN["peer"], "token": GIVEN["token"]},
    "/ocm/notifications": {"notificationType": "SHARE_ACCEPTED", "providerId": GIVEN["share"]},
    "/ocm/request-share": {"owner": GIVEN["recipient"], "shareWith": EVE},
    "/ocm/token": {"grant_type": "authorization_code", "client_id": GIVEN["peer"], "code": GIVEN["secret"]},
}


class Sign(requests.auth.AuthBase):
    """Signs a request as it goes over the wire. Each has a nonce: two that are alike are not the same one again."""

    count = 0

    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        Sign.count += 1
        for name in ("Signature", "Signature-Input", "Content-Digest"):
            request.headers.pop(name, None)
        if not GIVEN["signed"]:
            return request
        message = signing.Message(request.method, request.url, dict(request.headers))
        try:
            KEY.sign(message, body, "dual", GIVEN["now"], nonce=str(Sign.count))
        except HTTPMessageSignaturesException:
            # What cannot be signed is sent as it is.
            return request
        request.headers.update(message.headers)
        return request


if GIVEN["signed"]:
    KEY = signing.Key.load("ed25519", f"http://{GIVEN['peer']}/ocm#ed25519", os.path.join(GIVEN["keys"], "ed25519.pem"))
schemathesis.auth.set_from_requests(Sign())


@schemathesis.hook
def before_call(context, case, kwargs):
    fitting = FITTING.get(case.path)
    made_by_the_rules = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if fitting is None or not made_by_the_rules or not isinstance(case.body, dict):
        return
    made_up = zlib.crc32(json.dumps(case.body, sort_keys=True, default=str).encode()) % (len(fitting) + 3)
    case.body = {**case.body, **{name: value for at, (name, value) in enumerate(fitting.items()) if at != made_up}}
