// What the scripted gateway has to tell.

export const HOSTILE = `<img src=x onerror=alert(1)>"'&amp;<script>alert(2)</script>`;

/** A decision of each sort, as the AuditLog writes it, and how the page tells it; nothing where it does not. */
export function everySort(key) {
  const upstream = key, to = "openai/n", limit = "12000 tokens per 60s";
  return [
    ["admitted", { key, waited_s: 0, limits: [] }],
    ["admitted", { key, waited_s: 3.25, limits: [{ limit, capacity: 12000, used: 9000 }] }, `${key} lets a request through that waited 3.25 s`],
    ["queued", { key, limit, wait_s: 3.25 }, `${key} a request waits 3.25 s (${limit})`],
    ["left", { key, waited_s: 0.0301 }, `${key} a caller left the queue after 31 ms`],
    ["deadline_exceeded", { layer: "retry", upstream, late_s: 3.25 }, `${key} came 3.25 s after its deadline, and was sent nowhere`],
    ["deadline_exceeded", { layer: "fallback", upstream: "", late_s: 3.25 }, "a request came 3.25 s after its deadline, and was sent nowhere"],
    ["refused", { key, reason: "wait_too_long", limit: "", wait_s: 3.25 }, `${key} refuses a request: the wait would be too long (3.25 s)`],
    ["refused", { key, reason: "queue_full", limit, wait_s: 90 }, `${key} refuses a request: the queue is full (1 min 30 s, ${limit})`],
    ["refused", { key, reason: "too_large", limit }, `${key} refuses a request: it is larger than the limit (${limit})`],
    ["shadowed", { key, limit, wait_s: 3.25 }, `${key} a shadow limit would have held a request for 3.25 s (${limit})`],
    ["settled", { key, reserved_input_tokens: 10, reserved_output_tokens: 100, reserved_money: 0.05, input_tokens: 9, output_tokens: 40, money: 0.0000015 }],
    ["learned", { key, dimension: "requests", per_s: 86400, amount: 14400, remaining: 14370, is_new: true }, `${key} tells that 14,370 of 14,400 requests per 24 h are left`],
    ["learned", { key, dimension: "input_tokens", remaining: 3, is_new: false }, `${key} tells that 3 input tokens are left`],
    ["paused", { key, wait_s: 3.25 }, `${key} asks for a pause of 3.25 s`],
    ["retrying", { upstream, attempt: 1, wait_s: 3.25, failure: "rate_limited", retry_after_s: 20 }, `${key} attempt 1 failed (rate limited), the next in 3.25 s`],
    ["gave_up", { upstream, attempts: 3, reason: "attempts used up", failure: "rate_limited", retry_after_s: 20 }, `${key} given up after 3 attempts (rate limited): attempts used up`],
    ["gave_up", { upstream, attempts: 1, reason: "the retry budget is empty", failure: "timeout" }, `${key} given up after 1 attempt (timeout): the retry budget is empty`],
    ["opened", { key, reason: "failure rate", wait_s: 60 }, `${key} circuit opens for 1 min: failure rate`],
    ["opened", { key: "", reason: "forced open" }, "every request circuit opens: forced open"],
    ["half_opened", { key, reason: "the open time is over" }, `${key} circuit lets probes through: the open time is over`],
    ["closed", { key, reason: "probes succeeded" }, `${key} circuit closes: probes succeeded`],
    ["disabled", { key }, `${key} circuit breaker is disabled`],
    ["cooling_down", { upstream, wait_s: 5400, failure: "quota_exhausted" }, `${key} cools down for 1 h 30 min: quota exhausted`],
    ["switched", { from: key, to, failure: "rate_limited", retry_after_s: 20 }, `${key} failed (rate limited), so ${to} is asked`],
    ["exhausted", { attempts: 3, is_rate_limited: true, retry_after_s: 3.25 }, "nobody left to ask after 3 failed attempts, all rate limited; the soonest in 3.25 s"],
    ["exhausted", { attempts: 0, is_rate_limited: false }, "nobody left to ask at once"],
    ["ended", { upstream, end: "answered", status: 200, took_s: 0.9, total_tokens: 912, money: 0.0000015 }, `${key} answered in 900 ms, 912 tokens, $0.0000015`],
    ["ended", { upstream, end: "failed", failure: "server_error", status: 503, took_s: 61 }, `${key} failed after 1 min 01 s (server error, status 503)`],
    ["ended", { upstream, end: "broken", took_s: 0 }, `${key} broke off after 0 ms`],
    ["ended", { upstream, end: "cancelled", took_s: 1.2345 }, `${key} was left by its caller after 1.23 s`],
    ["missed", { count: 1234 }, "not shown 1,234 decisions came too fast for this page"],
    ["of_tomorrow", { key }],
  ];
}

/** An upstream in each state that there is. */
export function fill(gateway) {
  const limits = (...all) => ({ limits: all.map(([limit, taken]) => ({ name: limit.split(" ")[1], limit, taken })) });
  gateway.upstream("groq/llama-3.3-70b-versatile", { in_flight: 4, queued: 2, answered: 1482, failed: 31, paused_ms: 4_200, ...limits(["30 requests per 60s", 0.97], ["12000 tokens per 60s", 0.998]) });
  gateway.upstream("groq/llama-3.1-8b-instant", { cooling_ms: 271_000, cooling_reason: "quota_exhausted", answered: 312, failed: 3, ...limits(["14400 requests per 1d", 0.86], ["6000 tokens per 60s", 0.004]) });
  gateway.upstream("openai/gpt-4o-mini", { circuit: "open", probe_after_ms: 42_000, answered: 201, failed: 12, ...limits(["500 requests per 60s", 0.31], ["200000 tokens per 60s", 0.62]) });
  gateway.upstream("ollama/llama3.2", { circuit: "half_open", in_flight: 1, answered: 17, ...limits(["2 at a time", 0.5]) });
  gateway.upstream("anthropic/claude-sonnet-with-a-name-that-does-not-fit-into-any-line", { circuit: "forced_open" });
  gateway.upstream("vllm/qwen", { circuit: "disabled", answered: 22, ...limits(["1 request per 2s", 0.2]) });
  Object.assign(gateway.state.totals, { answered: 2034, failed: 46, tokens: 1_204_551, cost: "0.7227306", cost_nanos: 722_730_600 });
}

/** Lets a page see five minutes go by, for its plots. They end at `totals`; the numbers are always the same. */
export async function fiveMinutes(page, state) {
  await page.evaluate((end) => {
    const real = performance.now, begun = { answered: end.totals.answered - 300, failed: end.totals.failed - 16, tokens: end.totals.tokens - 180_000, cost_nanos: end.totals.cost_nanos - 108_000_000 };
    let random = 7, seen = 0;
    const steps = Array.from({ length: 60 }, () => { random = (random * 16_807) % 2_147_483_647; return (random / 2_147_483_647) ** 2; });
    const sum = steps.reduce((total, step) => total + step, 0);
    steps.forEach((step, index) => {
      seen += step / sum;
      const totals = { cost: end.totals.cost };
      for (const [name, from] of Object.entries(begun)) totals[name] = Math.round(from + (end.totals[name] - from) * seen);
      performance.now = () => real.call(performance) - (59 - index) * 5_000;
      showState({ ...end, totals });
    });
    performance.now = real;
  }, state);
}
