#!/usr/bin/env python3
"""OpenAI's own client against the gateway and its simulators: answers, streams, and each error as the client names it.

    openai_client.py target/debug/examples/gateway
"""

import asyncio
import urllib.request

import openai
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import gateway

MESSAGES = [{"role": "user", "content": "Why?"}]
GROQ = "groq/openai/gpt-oss-20b"


def client_of(server, key="of-nobody"):
    # Its own retries would hide what is wrong.
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60)


def answers(server):
    client = client_of(server)
    names = [model.id for model in client.models.list()]
    assert "auto" in names and GROQ in names, names

    answer = client.chat.completions.create(model="auto", messages=MESSAGES)
    assert answer.choices[0].message.content and answer.usage.completion_tokens == 16, answer
    assert answer._request_id.startswith("req_"), answer._request_id

    chunks = list(client.chat.completions.create(model="auto", messages=MESSAGES, stream=True))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert len(text.split()) == 16, text

    counted = client.chat.completions.create(
        model="auto", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    assert list(counted)[-1].usage.completion_tokens == 16

    vectors = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], encoding_format="float")
    assert [item.index for item in vectors.data] == [0, 1], vectors


def errors(binary):
    def told(kind, status, code, message, ask):
        try:
            ask()
        except openai.APIStatusError as error:
            assert type(error) is kind, f"{type(error)} in place of {kind}: {error}"
            assert error.status_code == status, error
            assert error.code == code and message in error.body["message"], error.body
            assert error.request_id.startswith("req_"), error.request_id
            return error
        raise AssertionError(f"no {kind.__name__}")

    variables = {"GATEWAY_KEYS": "anna:k-a,ben:k-b", "GATEWAY_TENANT_REQUESTS_PER_MINUTE": 8, "GATEWAY_MAX_BODY_BYTES": 100_000}
    with gateway.running(binary, **variables) as server:
        client = client_of(server, "k-a")

        def chat(of=client, model="auto", **more):
            return of.chat.completions.create(**{"model": model, "messages": MESSAGES, **more})

        told(openai.AuthenticationError, 401, "invalid_api_key", "API key", lambda: chat(client_of(server, "k-c")))
        told(openai.BadRequestError, 400, "invalid_request", "messages", lambda: chat(messages="Why?"))
        told(openai.BadRequestError, 400, "invalid_request", "`model` must", lambda: chat(model=7))
        told(openai.NotFoundError, 404, "model_not_found", "No such model", lambda: chat(model="nobody's"))
        told(openai.NotFoundError, 404, "not_found", "route", lambda: client.files.list())
        large = [{"role": "user", "content": "x" * 200_000}]
        told(openai.APIStatusError, 413, "request_too_large", "100000 bytes", lambda: chat(messages=large))

        path = f"{server.url}/admin/force-open?key={GROQ}"
        request = urllib.request.Request(path, method="POST", headers={"authorization": f"Bearer {gateway.ADMIN}"})
        urllib.request.urlopen(request, timeout=10).close()
        told(openai.InternalServerError, 503, "unavailable", "No provider is available", lambda: chat(model=GROQ))

        ben = client_of(server, "k-b")
        for _ in range(8):
            chat(ben, model="llama3.2", max_tokens=1)
        words = "The rate limit of 8 requests per minute is used up. Please try again in "
        error = told(openai.RateLimitError, 429, "rate_limit_exceeded", words, lambda: chat(ben))
        assert 1 <= int(error.response.headers["retry-after"]) <= 60
        assert "k-a" not in server.stderr() and "k-b" not in server.stderr()
        # It tries again by itself, and heeds the wait: anna's limit has room.
        assert chat(openai.OpenAI(base_url=f"{server.url}/v1", api_key="k-a")).choices
        assert server.stop() == 0, server.stderr()


def at_once(server):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0, timeout=60) as client:
            calls = [client.chat.completions.create(model="auto", messages=MESSAGES) for _ in range(100)]
            return await asyncio.gather(*calls)

    answers = asyncio.run(ask())
    assert len({answer.id for answer in answers}) >= 80, "each has an answer of its own"
    models = {answer.model for answer in answers}
    assert len(models) > 1, f"a quota of 20 is filled, and others help out: {models}"


def metrics(server):
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    answered = [
        sample.value
        for family in families
        if family.name == "tower_upstream_requests"
        for sample in family.samples
        if sample.labels["end"] == "answered"
    ]
    assert sum(answered) >= 100, answered


def main():
    binary = gateway.binary()
    with gateway.running(binary) as server:
        answers(server)
        at_once(server)
        metrics(server)
        assert server.stop() == 0, server.stderr()
        assert "panicked" not in server.stderr(), server.stderr()
    errors(binary)
    print("OpenAI's client: answers, streams, embeddings, errors and 100 requests at once are as it expects them")


if __name__ == "__main__":
    main()
