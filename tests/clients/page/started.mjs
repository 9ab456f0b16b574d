// The built gateway, and a provider for it that answers what a test wants.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";

export class StartedGateway {
  static async start(binary, environment, port = 0) {
    const gateway = new StartedGateway();
    gateway.environment = environment;
    const env = { PATH: process.env.PATH, ...environment, GATEWAY_ADDRESS: `127.0.0.1:${port}` };
    gateway.process = spawn(binary, [], { env, stdio: ["ignore", "ignore", "pipe"] });
    gateway.said = "";
    gateway.process.stderr.setEncoding("utf8").on("data", (text) => { gateway.said += text; });
    const ended = once(gateway.process, "exit").then(() => { throw new Error(`the gateway ended: ${gateway.said}`); });
    gateway.ended = ended.catch(() => {});
    while (!gateway.url) {
      await Promise.race([ended, once(gateway.process.stderr, "data")]);
      gateway.url = /listening on (http:\S+)\n/.exec(gateway.said)?.[1];
    }
    gateway.port = Number(new URL(gateway.url).port);
    gateway.url += "/";
    return gateway;
  }

  async chat(more = {}) {
    const body = JSON.stringify({ model: "auto", messages: [{ role: "user", content: "Why?" }], ...more });
    const response = await fetch(`${this.url}v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" }, body });
    await response.text();
    return response.status;
  }

  async stop() {
    this.process.kill("SIGTERM");
    await this.ended;
  }
}

/** A provider of two models, of which the first may be told to answer otherwise. */
export class Provider {
  /** What the first is answered instead: `{ status, headers, body }`. */
  instead = null;

  static async start(models) {
    const provider = new Provider();
    provider.models = models;
    provider.server = createServer((request, response) => provider.#answer(request, response)).listen(0, "127.0.0.1");
    await once(provider.server, "listening");
    return provider;
  }

  /** A gateway's configuration by which this is two providers, so that an account's failure is not the other's. */
  async configure(path) {
    const base_url = `http://127.0.0.1:${this.server.address().port}/v1`, quota = { requests: "20/minute" };
    const [first, second] = this.models;
    const price = { input: 0.15, output: 0.6 };
    const upstreams = [{ provider: "first", models: [first], quota, price }, { provider: "second", models: [second] }];
    await writeFile(path, JSON.stringify({ providers: { first: { base_url }, second: { base_url } }, upstreams }));
  }

  async stop() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, "close");
  }

  async #answer(request, response) {
    let text = "";
    for await (const part of request.setEncoding("utf8")) text += part;
    const { model } = JSON.parse(text);
    const { status, headers, body } = (model === this.models[0] && this.instead) || { status: 200, body: {
      id: "1", object: "chat.completion", created: 1, model, usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 },
      choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "Because." } }],
    } };
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  }
}
