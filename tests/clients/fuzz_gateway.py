#!/usr/bin/env python3
"""Throws malformed HTTP and JSON at the gateway, from before it and from behind it, and sees whether it bears it.

    FUZZ_SECONDS=120 FUZZ_SEED=1 fuzz_gateway.py target/debug/examples/gateway

What is sent is made of a seed, for each thread; in which order threads and answers meet is not. In the end the gateway lives
and answers, every error below /v1 had OpenAI's form, nobody was told a secret, and stderr has neither one nor a panic.
"""

import collections
import http.server
import json
import os
import random
import socket
import socketserver
import sys
import tempfile
import threading
import time

import gateway

SECONDS = float(os.environ.get("FUZZ_SECONDS", "120"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
THREADS = 4
# What the callers send, and what the upstream says.
SECRETS = ["sk-callers-own-secret", "sk-upstreams-own-secret", "org-of-the-gateway"]
ODD = [
    None, True, False, 0, -1, 1e308, 10**40, -0.0, "", "\0", "\ud800", "a" * 3000, "\u202e", "<script>", "../../etc/passwd",
    [], {}, [[]], [None], {"": {}}, "auto", "local/m", "'; drop table", "%s%n", "\r\nx: y", "data: [DONE]\n\n",
]  # fmt: skip
CHAT = {
    "model": "auto",
    "messages": [{"role": "user", "content": "Why?"}, {"role": "user", "content": [{"type": "text", "text": "So?"}]}],
    "max_tokens": 16,
    "stream": False,
    "temperature": 0.5,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
}
EMBEDDINGS = {"model": "auto", "input": ["one", "two"]}


def mutated(value, chance):
    """Another value of this kind, or of no kind."""
    if chance.random() < 0.15:
        return chance.choice(ODD)
    if isinstance(value, dict):
        pairs = [(key, mutated(item, chance)) for key, item in value.items() if chance.random() > 0.05]
        if chance.random() < 0.1:
            pairs.append((str(chance.choice(ODD)), chance.choice(ODD)))
        return dict(pairs)
    if isinstance(value, list):
        return [mutated(item, chance) for item in value for _ in range(chance.choice([0, 1, 1, 1, 1, 3]))]
    return value


def broken(data, chance):
    """These bytes with a few of them changed, lost or doubled."""
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice([1, 4])))
            case 1:
                del data[at : at + chance.choice([1, 2, 20])]
            case 2:
                data[at:at] = data[at : at + 30]
            case 3:
                data = data[: at + 1]
            case 4:
                data[at:at] = chance.choice([b"\xff", b"\0", b'"', b"{", b"]", b"\r\n", b"\xed\xa0\x80"])
    return bytes(data)


def body_of(chance, path):
    value = mutated(EMBEDDINGS if "embed" in path else CHAT, chance)
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")
    match chance.randrange(8):
        case 0:
            return broken(text, chance)
        case 1:
            depth = chance.choice([10, 200, 5000])
            return b'{"model":"auto","messages":[' + b"[" * depth + b"]" * chance.choice([0, depth, depth - 1])
        case 2:
            return text[:-1] + b',"model":' + json.dumps(chance.choice(ODD)).encode(errors="replace") + b"}"
        case 3 if chance.random() < 0.1:
            return b'{"model":"auto","x":"' + b"y" * chance.choice([100_000, 300_000]) + b'"}'
        case _:
            return text


def request_of(chance):
    """The bytes of a request, and whether their head is one that HTTP allows."""
    path = chance.choice(["/v1/chat/completions"] * 5 + ["/v1/embeddings"] * 2 + ["/v1/models", "/v1/nothing", "/v1/chat/completions?a=%zz"])
    if chance.random() < 0.1:
        path = chance.choice(["/", "/events", "/metrics", "/healthz", "/admin/state", "/admin/reset?key=local/m", "//", "/v1/../admin/state"])
    method = chance.choice(["POST"] * 30 + ["GET", "PUT", "HEAD", "OPTIONS", "TRACE", "PATCH"])
    body = body_of(chance, path) if method == "POST" else b""
    fields = [("host", "gateway"), ("authorization", f"Bearer {SECRETS[0]}")]
    if chance.random() < 0.3:
        fields.append(chance.choice([
            ("x-request-id", chance.choice(["", "mine", "x" * 500, "a b", "\"\\"])), ("x-tenant", "t" * chance.choice([0, 3, 400])),
            ("content-type", chance.choice(["", "text/xml", "application/json; charset=utf-7"])), ("accept-encoding", "gzip, br"),
            ("expect", "100-continue"), ("content-encoding", "gzip"), ("cookie", SECRETS[0]), ("upgrade", "websocket"),
        ]))  # fmt: skip
    if method == "POST" and chance.random() < 0.2:
        fields.append(("transfer-encoding", "chunked"))
        sizes = [len(body) // 2, len(body) - len(body) // 2]
        parts, at = [], 0
        for size in sizes:
            parts.append(b"%x\r\n%s\r\n" % (size, body[at : at + size]) if size else b"")
            at += size
        body = b"".join(parts) + b"0\r\n\r\n"
    else:
        fields.append(("content-length", str(len(body))))
    fields.append(("connection", "close"))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    if chance.random() < 0.15:
        whole = head.encode()
        damaged = chance.choice([
            lambda: broken(whole, chance), lambda: whole.replace(b"HTTP/1.1", chance.choice([b"HTTP/1.0", b"HTTP/3", b""])),
            lambda: whole.replace(b"content-length: ", chance.choice([b"content-length: -", b"content-length: 9", b"content-length: 1, "])),
            lambda: whole[:-2] + b"x-y: " + b"z" * chance.choice([10_000, 1_000_000]) + b"\r\n\r\n", lambda: os.urandom(0) + b"\x16\x03\x01" + whole,
            lambda: whole.replace(b"\r\n", b"\n"), lambda: whole[:-2] + b"".join(b"x-%d: y\r\n" % number for number in range(300)) + b"\r\n",
        ])()  # fmt: skip
        return damaged + body, path, False
    return head.encode() + body, path, True


class Mad(http.server.BaseHTTPRequestHandler):
    """An upstream that says anything."""

    protocol_version = "HTTP/1.1"
    chance, guard = random.Random(SEED), threading.Lock()

    def do_POST(self):
        with self.guard:
            chance = random.Random(self.chance.random())
        self.rfile.read(int(self.headers.get("content-length") or 0))
        secret = f"Incorrect API key provided: {SECRETS[1]}, of {SECRETS[2]}"
        error = {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}}
        answer = {"object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}}
        status, value = chance.choice([
            (200, answer), (200, answer), (200, mutated(answer, chance)), (400, error), (400, mutated(error, chance)), (404, {}),
            (401, {"error": {"message": secret}}), (403, secret), (429, {"error": {"message": secret + ". Try again in 0.01s"}}),
            (500, secret), (503, {"error": secret}), (302, ""), (600, ""), (204, ""),
        ])  # fmt: skip
        text = json.dumps(value).encode(errors="replace")
        if chance.random() < 0.2:
            text = broken(text, chance)
        kind = chance.choice(["application/json"] * 3 + ["text/event-stream", "text/html", ""])
        fields = f"content-type: {kind}\r\nopenai-organization: {SECRETS[2]}\r\nset-cookie: k={SECRETS[1]}\r\n"
        if status == 429:
            fields += f"retry-after: {chance.choice(['0', '1', '-3', 'soon', '99999999999999999999'])}\r\n"
        length = len(text) + chance.choice([0] * 10 + [5, -1])
        raw = f"HTTP/1.1 {status} X\r\n{fields}content-length: {max(length, 0)}\r\n\r\n".encode() + text
        if chance.random() < 0.05:
            # Where the head breaks off, its secrets are in the body, which goes to the caller.
            for word in SECRETS:
                raw = raw.replace(word.encode(), b"word")
            raw = broken(raw, chance)
        self.wfile.write(raw)
        self.close_connection = True

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # A gateway may hang up as well.


def exchange(port, data, chance):
    """What is answered; None where the connection was left on purpose, or nothing came."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        leaves = chance.random()
        try:
            if leaves < 0.05:
                sock.sendall(data[: chance.randrange(len(data) + 1)])
                return None
            sock.sendall(data)
            if leaves < 0.1:
                sock.settimeout(0.02)
                sock.recv(100)
                return None
            if chance.random() < 0.05:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # It has answered before all was sent.
        answer = b""
        try:
            # The live page's events have no end, whatever version of HTTP they come in.
            until = time.monotonic() + 10
            while len(answer) < 1 << 20 and b"event: state\n" not in answer and time.monotonic() < until:
                part = sock.recv(1 << 16)
                if not part:
                    break
                answer += part
        except OSError:
            pass
        return answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n") or None


def judge(answer, path, is_http):
    """What is wrong with an answer, if anything is."""
    for secret in SECRETS:
        if secret.encode() in answer:
            return f"a secret is told: {secret}"
    head, _, body = answer.partition(b"\r\n\r\n")
    parts = head.split(b" ", 2)
    if not parts[0].startswith(b"HTTP/1.") or len(parts) < 2:
        return "that is no HTTP"
    status = int(parts[1])
    if status < 400 or not is_http or not path.startswith("/v1") or path.startswith("/v1/.."):
        return None
    if b"content-type: application/json" not in head.lower():
        return f"status {status} without JSON"
    if not body:
        return None  # To HEAD.
    try:
        error = json.loads(body)["error"]
        whole = isinstance(error["message"], str) and isinstance(error["type"], str)
    except (ValueError, KeyError, TypeError):
        whole = False
    return None if whole else f"status {status} in another form: {body[:200]}"


def fuzz(*arguments):
    """A thread that dies must not pass for one that found nothing."""
    try:
        play(*arguments)
    except Exception as error:  # pylint: disable=broad-except
        arguments[-1].append(f"the fuzzer itself failed: {error!r}")


def play(port, number, until, tally, wrong):
    chance = random.Random(f"{SEED}-{number}")
    while time.monotonic() < until and not wrong:
        data, path, is_http = request_of(chance)
        try:
            answer = exchange(port, data, chance)
        except OSError as error:
            wrong.append(f"no connection: {error}")
            return
        tally["nothing" if answer is None else answer[9:12].decode(errors="replace")] += 1
        problem = answer and judge(answer, path, is_http)
        if problem:
            wrong.append(f"{problem}\nto {data[:2000]!r}\ncame {answer[:2000]!r}")
        if chance.random() < 0.02:
            # What the upstream has said of its limits is not to keep all others away.
            head = f"POST /admin/clear-cooldown?key=local/m HTTP/1.1\r\nhost: g\r\nconnection: close\r\nauthorization: Bearer {gateway.ADMIN}\r\n\r\n"
            exchange(port, head.encode(), random.Random(0))


def main():
    upstream = Server(("127.0.0.1", 0), Mad)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    config = {
        "providers": {"local": {"base_url": f"http://127.0.0.1:{upstream.server_port}/v1", "local": True}},
        "upstreams": [{"provider": "local", "models": ["m", "embed"]}],
        "retry": "off",
        "circuit_breaker": "off",
        "fallback": {"cooldown": "1ms"},
        "rate_limit": {"max_wait": "10ms"},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "stack.json")
        with open(path, "w") as file:
            json.dump(config, file)
        variables = {"GATEWAY_MAX_BODY_BYTES": 200_000, "GATEWAY_BODY_SECONDS": 2, "GATEWAY_ANSWER_SECONDS": 5}
        variables |= {"GATEWAY_CONFIG": path, "GATEWAY_TENANT_REQUESTS_PER_MINUTE": 1_000_000_000, "GATEWAY_DRAIN_SECONDS": 10}
        with gateway.running(gateway.binary(), **variables) as server:
            tally, wrong, until = collections.Counter(), [], time.monotonic() + SECONDS
            threads = [
                threading.Thread(target=fuzz, args=(server.port, number, until, tally, wrong)) for number in range(THREADS)
            ]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            # Else it has found nothing because it has asked nothing.
            if not tally["200"] or not tally["400"]:
                wrong.append("nothing was answered, or nothing refused")
            if not server.is_alive():
                wrong.append("the gateway has ended")
            else:
                healthy = exchange(server.port, b"GET /healthz HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n", random.Random(0))
                if not healthy or not healthy.endswith(b"\r\n\r\nok"):
                    wrong.append(f"it is not well: {healthy!r}")
                if server.stop() != 0:
                    wrong.append("it did not end well")
            stderr = server.stderr()
            wrong += [f"on stderr: {word}\n{stderr[-3000:]}" for word in ["panicked", *SECRETS, gateway.ADMIN] if word in stderr]
    print(f"seed {SEED}, {sum(tally.values())} requests in {SECONDS:.0f} s: {dict(sorted(tally.items()))}")
    for problem in wrong:
        print(problem, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
