// A gateway that says what a test tells it: for what a real one shows seldom, such as hostile names and cut connections.
// It speaks the contract of `GET /events` and `POST /admin/...` as examples/gateway does.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

export const PAGE = new URL("../../../examples/gateway/page.html", import.meta.url);
export const TOKEN = "the admin token";

/** The strictest under which the page has to work. */
const policy = (nonce) => [
  "default-src 'none'", `script-src 'nonce-${nonce}'`, `style-src 'nonce-${nonce}'`, "connect-src 'self'", "img-src data:", "base-uri 'none'",
  "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
].join("; ");

export class ScriptedGateway {
  state = { upstreams: [], totals: { answered: 0, failed: 0, tokens: 0, cost: "0", cost_nanos: 0 } };
  /** What was asked of `/admin`, as `[action, key]`. */
  asked = [];
  /** Whether states are sent; without them the page has to help itself. */
  isTalking = true;
  /** The status of `/events`. */
  status = 200;
  #readers = new Set();

  static async start(port = 0) {
    const gateway = new ScriptedGateway();
    await gateway.listen(port);
    return gateway;
  }

  async listen(port) {
    this.server = createServer((request, response) => this.#answer(request, response));
    this.server.listen(port, "127.0.0.1");
    await once(this.server, "listening");
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/`;
    this.timer = setInterval(() => this.#tellState(), 500);
  }

  async stop() {
    clearInterval(this.timer);
    this.#readers.clear();
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, "close");
  }

  upstream(id, more = {}) {
    const upstream = {
      id, circuit: "closed", probe_after_ms: null, cooling_ms: null, cooling_reason: null, paused_ms: null,
      queued: 0, in_flight: 0, answered: 0, failed: 0, limits: [], ...more,
    };
    this.state.upstreams.push(upstream);
    return upstream;
  }

  decide(event, fields = {}) {
    this.#send("decision", { v: 1, at: new Date().toISOString(), event, ...fields });
  }

  #tellState() {
    if (this.isTalking) this.#send("state", this.state);
  }

  #send(event, data) {
    for (const reader of this.#readers) reader.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.url);
    if (url.pathname === "/") {
      const nonce = randomUUID(), page = (await readFile(PAGE, "utf8")).replaceAll("{nonce}", nonce);
      response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy(nonce) }).end(page);
    } else if (url.pathname === "/events") {
      response.writeHead(this.status, { "content-type": this.status === 200 ? "text/event-stream" : "text/plain" });
      if (this.status !== 200) return response.end("not now");
      this.#readers.add(response);
      response.on("close", () => this.#readers.delete(response));
      this.#tellState();
    } else if (request.method === "POST" && url.pathname.startsWith("/admin/")) {
      this.#administer(request, response, url);
    } else {
      response.writeHead(404).end();
    }
  }

  #administer(request, response, url) {
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return response.writeHead(401).end();
    const action = url.pathname.slice("/admin/".length), key = url.searchParams.get("key");
    const upstream = this.state.upstreams.find(({ id }) => id === key);
    if (!upstream) return response.writeHead(404).end();
    this.asked.push([action, key]);
    if (action === "force-open") upstream.circuit = "forced_open";
    if (action === "reset") upstream.circuit = "closed";
    if (action === "clear-cooldown") upstream.cooling_ms = null;
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  }
}
