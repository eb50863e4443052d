"""A server that signs and verifies with a library that is not ours. Everybody may ask it what it has seen, and have it
send something; it lives on this machine only, and ends with whoever started it."""

import base64
import http.client
import http.server
import json
import os
import pathlib
import sys
import threading
import urllib.request

import signing

ANSWERS = {
    "shares": (201, {"recipientDisplayName": "Eve"}),
    "invite-accepted": (200, {"userID": "eve", "email": "eve@outside.example", "name": "Eve of the Outside"}),
    "notifications": (201, {}),
    "token": (200, {"access_token": "outside-token", "token_type": "Bearer", "expires_in": 300}),
    "ocm-httpsig-probe": (204, None),
}


class Peer:
    def __init__(self, origin, keys_at):
        self.origin = origin
        self.keys = {kind: signing.Key.generate(kind, f"{origin}/ocm#{kind}") for kind in signing.ALGORITHMS}
        for kind, key in self.keys.items():
            key.save(pathlib.Path(keys_at) / f"{kind}.pem")
        # The keys of the server under test.
        self.trusted = []
        self.seen = []
        self.below, self.token = "/ocm", "/ocm/token"

    def document(self, path):
        at = self.origin
        if path == "/.well-known/jwks.json":
            return {"keys": [key.jwk() for key in self.keys.values()]}
        if path != "/.well-known/ocm":
            return None
        protocols = {"webdav": "/dav/", "webdav-receive": {"uri": "relative"}}
        return {
            "enabled": True,
            "apiVersion": "1.4.0",
            "endPoint": at + self.below,
            "provider": "Outside",
            "resourceTypes": [
                {"name": name, "shareTypes": ["user"], "protocols": protocols} for name in ("file", "folder")
            ],
            "capabilities": ["http-sig", "exchange-token", "invites", "notifications", "protocol-object"],
            "criteria": [],
            "tokenEndPoint": at + self.token,
            "jwksUri": at + "/.well-known/jwks.json",
            "inviteAcceptDialog": at + "/accept",
        }

    def take(self, message, body):
        """Keeps a request with the library's verdict on it, and gives the answer."""
        row = {"method": message.method, "url": message.url, "body": body.decode("utf-8", "replace")}
        self.seen.append((row, message, body))
        try:
            found = signing.verify(message, body, self.trusted)
        except signing.InvalidSignature as error:
            row["refused"] = str(error)
            return 401, {"message": "SIGNATURE_INVALID"}
        row["label"] = found.label
        row["parameters"] = found.parameters
        row["covered"] = [json.loads(name) for name in found.covered_components if name != '"@signature-params"']
        return ANSWERS.get(message.url.split("?")[0].rsplit("/", 1)[-1], (404, {}))

    # What a test may ask for

    def trust(self, origin):
        """Fetches the keys of a server the way any peer does."""
        def fetch(url):
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)

        self.trusted = fetch(fetch(f"{origin}/.well-known/ocm")["jwksUri"])["keys"]
        return {"keys": len(self.trusted)}

    def move(self, below, token):
        self.below, self.token = below, token
        return {}

    def look(self):
        return [row for row, _, _ in self.seen]

    def bend(self, at):
        """Changes each byte of a request that was verified, one at a time; says which changes were not noticed."""
        _, message, body = self.seen[at]
        tried, unnoticed = 0, []
        for what, bent, bent_body in variations(message, body):
            tried += 1
            try:
                signing.verify(bent, bent_body, self.trusted)
                unnoticed.append(what)
            except signing.InvalidSignature:
                pass
        return {"tried": tried, "unnoticed": unnoticed}

    def send(self, url, now, body="", method="POST", key="ed25519", form="dual", type=None, change=None, to=None):
        """Signs a request and sends it, in another shape than it was signed if `change` says so."""
        headers, content = {}, body.encode()
        if type is not None:
            headers["Content-Type"] = type
        message = signing.Message(method, url, headers)
        self.keys[key].sign(message, content, form, now)
        if change == "foreign":
            signing.add_foreign_signature(message, now)
        elif change == "no-length":
            del headers["Content-Length"]
        elif change == "body":
            content = flipped(content, len(content) // 2)
        elif change == "signature":
            headers["Signature"] = next(bent_signatures(headers["Signature"]))
        elif change == "url":
            message.url = url + ("&" if "?" in url else "?")
        elif change is not None:
            headers[change] = flipped(headers[change].encode(), -2).decode()
        scheme, _, rest = message.url.partition("://")
        authority, slash, target = rest.partition("/")
        connection = http.client.HTTPConnection(to or authority, timeout=30)
        connection.putrequest(method, slash + target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": authority, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(content or None)
        answer = connection.getresponse()
        said = answer.read().decode("utf-8", "replace")
        connection.close()
        return {"status": answer.status, "body": said}


def flipped(data, at):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def bent_signatures(value):
    label, _, rest = value.partition("=:")
    signature = base64.b64decode(rest.rstrip(":"))
    for at in range(len(signature)):
        yield f"{label}=:{base64.b64encode(flipped(signature, at)).decode()}:"


def variations(message, body):
    for at in range(len(body)):
        yield f"body {at}", message, flipped(body, at)
    yield "body longer", message, body + b" "
    yield "method", signing.Message("PUT", message.url, message.headers), body
    for at in range(len(message.url)):
        url = flipped(message.url.encode(), at).decode()
        yield f"url {at}", signing.Message(message.method, url, message.headers), body
    for index, (name, value) in enumerate(message.headers):
        if name.lower() == "signature":
            values = list(bent_signatures(value))
        elif name.lower() in ("content-digest", "content-length", "date", "signature-input"):
            values = [flipped(value.encode(), at).decode() for at in range(len(value))]
        else:
            continue
        for at, bent in enumerate(values):
            lines = signing.Lines(message.headers)
            lines[index] = (name, bent)
            yield f"{name} {at}", signing.Message(message.method, message.url, lines), body
        lines = signing.Lines(message.headers)
        del lines[index]
        yield f"no {name}", signing.Message(message.method, message.url, lines), body


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        peer = self.server.peer
        document = peer.document(self.path)
        if self.command == "POST" and self.path.startswith("/control/"):
            verb = self.path.removeprefix("/control/")
            commands = {"trust": peer.trust, "move": peer.move, "look": peer.look, "bend": peer.bend, "send": peer.send}
            status, said = 200, commands[verb](**json.loads(body))
        elif self.command == "GET" and document is not None:
            status, said = 200, document
        else:
            message = signing.Message(self.command, peer.origin + self.path, signing.Lines(self.headers.items()))
            status, said = peer.take(message, body)
        content = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        if said is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host, port = server.server_address
    server.peer = Peer(f"http://{host}:{port}", sys.argv[1])
    print(f"{host}:{port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Whoever started this holds the other end.
    sys.stdin.read()
    os._exit(0)


main()
