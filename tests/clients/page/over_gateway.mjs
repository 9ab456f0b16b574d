// The page over the gateway that was built.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { until } from "./browser.mjs";
import { binary, card, checkBuilt, isLive, note, rows } from "./check.mjs";
import { HOSTILE } from "./scenes.mjs";
import { TOKEN } from "./scripted.mjs";
import { Provider, StartedGateway } from "./started.mjs";

let provider;
/** What the gateway's environment sets for the provider of this test, whose first model is the one that matters. */
async function provided(afterwards) {
  const folder = await mkdtemp(join(tmpdir(), "gateway-page-"));
  afterwards.push(() => rm(folder, { recursive: true }));
  provider = await Provider.start([HOSTILE, "spare"]);
  afterwards.push(() => provider.stop());
  await provider.configure(join(folder, "gateway.json"));
  return { GATEWAY_CONFIG: join(folder, "gateway.json") };
}
const FIRST = `first/${HOSTILE}`;
const used = (page) => page.getByRole("meter").first().getAttribute("aria-valuenow").then(Number);

checkBuilt("over the gateway: bars fill, answers are told, and a breaker that is forced open shows within a second", provided, async ({ gateway, show }) => {
  const page = await show(), first = card(page, FIRST);
  const told = (words) => until(words, async () => (await rows(page)).some((row) => row.startsWith(`${FIRST} ${words}`)));
  const button = (name) => first.getByRole("button", { name });
  assert.deepEqual(await Promise.all(Array.from({ length: 6 }, () => gateway.chat())), [200, 200, 200, 200, 200, 200]);
  await until("the bar fills", async () => await used(page) === 30);
  await told("answered in ");
  const total = (name) => page.locator("#totals div", { hasText: name }).locator("dd").textContent();
  await until("six are answered", async () => (await total("answered")) === "6");
  assert.deepEqual([await total("failed"), await total("tokens"), await total("cost")], ["0", "72", "$0.0000243"]);
  assert.match(await page.getByRole("img", { name: /^Tokens/ }).getAttribute("aria-label"), /: 72 in the last one/);

  await button("Force open").click();
  await page.keyboard.type(TOKEN);
  await page.keyboard.press("Enter");
  await until("it is forced open", async () => (await first.locator(".pill").textContent()) === "forced open", 1_000);
  await told("circuit opens: ");
  assert.equal(await gateway.chat(), 200, "the spare one answers");
  await button("Reset").click();
  await until("it is closed", async () => (await first.locator(".pill").textContent()) === "closed", 1_000);
  await told("circuit closes: ");
  assert.equal(await page.locator("img").count(), 0, "a model's name is text");
});

checkBuilt("over the gateway: the page is there again when the gateway is", provided, async ({ gateway, show }) => {
  const page = await show();
  const answered = () => page.locator("#totals dd").first().textContent();
  assert.equal(await gateway.chat(), 200);
  await until("an answer is counted", async () => (await answered()) === "1");
  await gateway.stop();
  await until("the page sees it", async () => !await isLive(page), 2_000);
  const again = await StartedGateway.start(binary, gateway.environment, gateway.port);
  try {
    await until("the page is live", () => isLive(page), 20_000);
    assert.equal(await answered(), "0");
    assert.equal(await again.chat(), 200);
    await until("an answer is counted", async () => (await answered()) === "1");
    assert.deepEqual(page.wrong.filter((line) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED/.test(line)), []);
    page.wrong.length = 0;
  } finally {
    await again.stop();
  }
});

// The first is a model's, the second its whole account's.
for (const [code, words] of [["rate_limit_exceeded", "rate limited"], ["insufficient_quota", "quota exhausted"]]) {
  checkBuilt(`over the gateway: a cooldown counts down and is ended by hand, ${words}`, provided, async ({ gateway, show }) => {
    const page = await show();
    provider.instead = { status: 429, headers: { "retry-after": "40" }, body: { error: { message: "No.", type: code, code } } };
    assert.equal(await gateway.chat(), 200, "the spare one answers");
    const left = async () => Number(/cooling down for (\d+) s/.exec(await note(page, FIRST))?.[1]);
    await until("it cools down", async () => await left() > 30);
    await until("it is told", async () => (await rows(page)).some((row) => row.includes(`: ${words}`)));
    const before = await left();
    await until("it counts down", async () => await left() <= before - 2);
    await card(page, FIRST).getByRole("button", { name: "Clear cooldown" }).click();
    await page.keyboard.type(TOKEN);
    await page.keyboard.press("Enter");
    await until("it is over", async () => (await note(page, FIRST)) === "takes requests", 2_000);
  });
}

checkBuilt("over the gateway: with nothing set up, the small quota of the first of the simulators fills", () => ({}), async ({ gateway, show }) => {
  const page = await show();
  for (let asked = 0; asked < 6; asked += 1) assert.equal(await gateway.chat({ max_tokens: 20 }), 200);
  await until("the bar fills", async () => await page.getByRole("meter").count() && await used(page) >= 25);
});
