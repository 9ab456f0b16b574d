// The page over a scripted gateway: what a real one shows seldom.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { contrast, until } from "./browser.mjs";
import { axe, card, check, isLive, note, rows, target } from "./check.mjs";
import { everySort, fill, fiveMinutes, HOSTILE } from "./scenes.mjs";
import { PAGE, TOKEN } from "./scripted.mjs";

check("it is one small file that asks for nothing but events", async ({ gateway, show }) => {
  const page = await show();
  assert.deepEqual(new Set(page.requested), new Set([gateway.url, `${gateway.url}events`]));
  assert.ok((await readFile(PAGE, "utf8")).split("\n").length <= 401);
});

check("bars fill as limits are taken, and say so to those who do not see them", async ({ gateway, show }) => {
  const limit = { name: "requests", limit: "60 requests per 60s", taken: 0 };
  gateway.upstream("groq/m", { limits: [limit, { name: "concurrency", limit: 8, taken: 0.5 }] });
  const page = await show();
  const meter = page.getByRole("meter", { name: "60 requests per 60s" });
  const filled = async () => {
    const [bar, fill] = [await meter.boundingBox(), await meter.locator("i").boundingBox()];
    return fill.width / bar.width;
  };
  await page.getByRole("meter", { name: "concurrency: 8" }).waitFor();
  for (const [used, now, kind] of [[0.004, "1", ""], [0.31, "31", ""], [0.85, "85", "wait"], [0.996, "99", "bad"], [1, "100", "bad"], [0, "0", ""]]) {
    limit.taken = used;
    await until(`${now} %`, async () => (await meter.getAttribute("aria-valuenow")) === now);
    await until(`the bar is filled to ${used}`, async () => Math.abs(await filled() - used) < 0.001);
    assert.equal(await meter.getAttribute("aria-valuetext"), `${now} % used`);
    assert.equal((await meter.getAttribute("class")).replace("meter", "").trim(), kind);
    assert.equal(await note(page, "groq/m"), used === 1 ? "a limit is full" : "takes requests");
  }
  gateway.state.upstreams[0].limits = [];
  await until("limits that are gone are gone from the page", async () => (await page.getByRole("meter").count()) === 0);
});

check("waits count down by themselves between two states", async ({ gateway, show }) => {
  gateway.upstream("groq/m", { cooling_ms: 90_000, cooling_reason: "quota_exhausted", paused_ms: 30_000 });
  gateway.upstream("openai/n", { circuit: "open", probe_after_ms: 2_000 });
  const page = await show();
  gateway.isTalking = false;
  assert.match(await note(page, "groq/m"), /^cooling down for 1 min (30|29) s: quota exhausted · paused for (30|29) s$/);
  const seconds = async () => Number(/paused for (\d+) s/.exec(await note(page, "groq/m"))[1]);
  const first = await seconds();
  await until("three seconds less", async () => await seconds() <= first - 3);
  await until("an open circuit's time is over", async () => (await note(page, "openai/n")) === "the next call is a probe");
});

check("each state of a breaker is shown in words, and a change of it told to those who listen", async ({ gateway, show }) => {
  const upstream = gateway.upstream("groq/m");
  const page = await show();
  assert.equal(await note(page, "groq/m"), "takes requests");
  for (const [circuit, pill, words] of [
    ["open", "open", "takes nothing"], ["half_open", "half-open", "probing"],
    ["forced_open", "forced open", "held open until it is reset"], ["disabled", "disabled", "takes requests"], ["closed", "closed", "takes requests"],
  ]) {
    upstream.circuit = circuit;
    await until(circuit, async () => (await card(page, "groq/m").locator(".pill").textContent()) === pill);
    assert.equal(await note(page, "groq/m"), words);
    assert.equal(await page.locator("#news").textContent(), `groq/m: circuit ${circuit.replace("_", " ")}`);
  }
  upstream.circuit = "open";
  await until("the title says it, too", async () => (await page.title()) === "1 held · Gateway");
});

check("a name that is markup is shown as it is", async ({ gateway, show }) => {
  const [limit] = gateway.upstream(HOSTILE, { cooling_ms: 60_000, cooling_reason: HOSTILE, limits: [{ name: HOSTILE, limit: HOSTILE, taken: 0.5 }] }).limits;
  gateway.state.totals.cost = HOSTILE;
  const page = await show();
  for (const [event, fields] of everySort(HOSTILE)) gateway.decide(event, fields);
  await until("the log has them", async () => (await rows(page)).length > 10);
  assert.equal(await card(page, HOSTILE).count(), 1);
  assert.ok((await note(page, HOSTILE)).includes(HOSTILE));
  assert.equal(await page.getByRole("meter").getAttribute("aria-label"), limit.name.replaceAll("_", " "));
  assert.ok((await rows(page)).every((row) => row.includes(HOSTILE) || /^(nobody|not shown|every request|a request)/.test(row)));
  await card(page, HOSTILE).getByRole("button", { name: "Reset" }).click();
  await page.keyboard.type(TOKEN);
  await page.keyboard.press("Enter");
  await until("it is asked for by its name", () => gateway.asked.length === 1);
  assert.deepEqual(gateway.asked, [["reset", HOSTILE]]);
  assert.equal(await page.locator("img, iframe, main script, a").count(), 0);
  const refused = await page.evaluate(() => { try { document.body.innerHTML = "<p>"; return false; } catch (error) { return error.name; } });
  assert.equal(refused, "TypeError", "the browser itself refuses to make markup of text");
  page.wrong.length = 0; // It said so on the console.
});

check("every event of the crate is told in plain words, or is known to be seen elsewhere", async ({ gateway, show }) => {
  const source = await readFile(new URL("../../../src/observe/events.rs", import.meta.url), "utf8");
  const names = [...source.matchAll(/Self::\w+(?: \{ \.\. \}|\(_\)) => "(\w+)"/g)].map(([, name]) => name);
  assert.ok(names.length >= 18);
  const quiet = ["settled"], sorts = everySort("groq/m");
  assert.deepEqual([...new Set(sorts.map(([name]) => name))].sort(), [...names, "missed", "of_tomorrow"].sort());
  const page = await show();
  for (const [event, fields, told] of sorts) {
    const before = (await rows(page)).length;
    gateway.decide(event, fields);
    if (told === undefined) {
      assert.ok(quiet.includes(event) || ["of_tomorrow", "admitted"].includes(event), `${event} has no words`);
    } else {
      await until(`${event} is told`, async () => (await rows(page)).length === before + 1);
      assert.equal((await rows(page))[0], told, "the newest is first");
    }
  }
});

check("the log is bounded, can be held, and what went well does not push the trouble out", async ({ gateway, show }) => {
  const page = await show();
  const answered = (number) => gateway.decide("ended", { upstream: `u${number}`, end: "answered", took_s: 1 });
  gateway.decide("paused", { key: "groq/m", wait_s: 3 });
  await until("it is told", async () => (await rows(page)).length === 1);
  for (let number = 0; number < 5000; number += 1) answered(number);
  await until("the newest is first", async () => (await rows(page))[0] === "u4999 answered in 1 s");
  assert.ok((await rows(page)).length <= 300);
  assert.equal((await rows(page)).at(-1), "groq/m asks for a pause of 3 s");

  const pause = page.getByRole("button", { name: "Pause", exact: true });
  await pause.click();
  answered("next");
  await until("it is counted", async () => (await page.locator("#held").textContent()) === "1 more");
  assert.equal((await rows(page))[0], "u4999 answered in 1 s");
  await pause.click();
  await until("it is shown", async () => (await rows(page))[0] === "unext answered in 1 s");

  await page.getByRole("button", { name: "Only trouble" }).click();
  assert.equal(await page.locator("#log > li:visible").count(), 1);
});

check("what was counted is drawn over time, and a gap is no flood", async ({ gateway, show }) => {
  const page = await show();
  const { totals } = gateway.state;
  const plot = (name) => page.getByRole("img", { name: new RegExp(`^${name} of the last five minutes`) });
  assert.match(await plot("Tokens").getAttribute("aria-label"), /: 0 in the last one/);
  Object.assign(totals, { answered: 3, failed: 1, tokens: 1200, cost: "0.0007", cost_nanos: 700_000 });
  for (const [name, words] of [["Tokens", "1,200"], ["Cost", "$0.0007"], ["Requests", "4"]]) {
    await until(name, async () => (await plot(name).getAttribute("aria-label")).includes(`: ${words} in the last one, at most ${words} in 5 s`));
  }
  assert.match(await plot("Requests").locator("path").nth(1).getAttribute("d"), /^M2\d\d 26\.5v-24\.5h4/, "a quarter has failed, on top of what was answered");
  const port = gateway.port;
  await gateway.stop();
  await until("the page sees it", async () => !await isLive(page));
  totals.tokens = 1e9;
  await gateway.listen(port);
  await until("the page is live", () => isLive(page));
  assert.match(await plot("Tokens").getAttribute("aria-label"), /: 1,200 in the last one/);
  page.wrong.length = 0; // Connections that were refused meanwhile.
});

check("a lost connection is told, and comes back by itself", async ({ gateway, show }) => {
  gateway.upstream("groq/m", { answered: 7 });
  const page = await show(), port = gateway.port;
  await gateway.stop();
  await until("it is told", async () => (await page.textContent("#link")) === "connection lost, trying again", 2_000);
  await until("and since when", async () => /last heard \d+ s ago/.test(await page.textContent("#age")));
  assert.match(await page.title(), /^lost/);
  gateway.state.upstreams = [];
  gateway.upstream("openai/n");
  gateway.status = 503;
  await gateway.listen(port);
  await until("an error is no end", async () => page.wrong.some((line) => line.includes("503")));
  gateway.status = 200;
  await until("the page is live", () => isLive(page), 20_000);
  assert.equal(await card(page, "openai/n").count(), 1);
  assert.equal(await card(page, "groq/m").count(), 0, "upstreams that are gone are gone");
  assert.equal(await page.textContent("#age"), "");

  gateway.isTalking = false;
  await until("a connection that says nothing is a lost one", async () => !await isLive(page));
  gateway.isTalking = true;
  await until("the page is live", () => isLive(page), 20_000);
  assert.deepEqual(page.wrong.filter((line) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|503|ERR_ABORTED/.test(line)), []);
  page.wrong.length = 0;
});

check("the token is asked for once, a wrong one again, and what was done is seen within a second", async ({ gateway, show }) => {
  gateway.upstream("groq/m", { cooling_ms: 60_000 });
  const page = await show();
  const button = (name) => page.getByRole("button", { name: `${name}: groq/m` });
  const dialog = page.getByRole("dialog", { name: "Admin token" });
  const said = (words) => until(words, async () => (await page.locator("#said").textContent()).includes(words));

  await button("Force open").click();
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await said("there is no token");
  assert.deepEqual(await page.evaluate(() => document.activeElement.textContent), "Force open", "the focus is where it was");

  await page.keyboard.press("Enter");
  await page.keyboard.type("wrong");
  await page.keyboard.press("Enter");
  await dialog.getByText("did not take that token").waitFor();
  page.wrong.length = 0; // The browser itself notes a 401 on the console.
  await page.keyboard.type(TOKEN);
  await page.keyboard.press("Enter");
  await until("the breaker is forced open", async () => (await card(page, "groq/m").locator(".pill").textContent()) === "forced open", 1_000);
  await said("Force open, groq/m: done");

  await button("Reset").click();
  await button("Clear cooldown").click();
  await until("all are done", () => gateway.asked.length === 3);
  assert.deepEqual(gateway.asked, [["force-open", "groq/m"], ["reset", "groq/m"], ["clear-cooldown", "groq/m"]]);
  await until("it takes requests", async () => (await note(page, "groq/m")) === "takes requests");
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, document.querySelector("#token").value]));
  assert.equal(kept, '[{},{},"",""]', "the token is nowhere but in the page's memory");

  gateway.state.upstreams[0].id = "gone";
  await button("Reset").click();
  await said("the gateway answered 404");
  page.wrong.length = 0;
});

check("every control is reached and seen with the keyboard alone", async ({ gateway, show }) => {
  for (const id of ["groq/m", "openai/n"]) gateway.upstream(id);
  const page = await show();
  gateway.decide("paused", { key: "groq/m", wait_s: 3 });
  const wanted = await page.locator("main button, #log").evaluateAll((all) => all.map((one) => one.getAttribute("aria-label") ?? (one.id || one.textContent)));
  assert.equal(wanted.length, 2 * 3 + 2 + 1);
  const reached = [];
  for (let step = 0; step < wanted.length; step += 1) {
    await page.keyboard.press("Tab");
    const [name, outline, width] = await page.evaluate(() => {
      const one = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(one);
      return [one.getAttribute("aria-label") ?? (one.id || one.textContent), outlineStyle, parseFloat(outlineWidth)];
    });
    reached.push(name);
    assert.ok(outline === "solid" && width >= 2, `${name} shows that it has the focus`);
  }
  assert.deepEqual(reached, wanted, "in the order of the page");
  await page.getByRole("button", { name: "Reset: openai/n" }).focus();
  await until("some states have come", async () => page.evaluate(() => performance.now() > 3_000));
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Reset: openai/n", "a new state takes nobody's focus");
});

check("who wants no motion gets none", async ({ gateway, show }) => {
  gateway.upstream("groq/m", { limits: [{ name: "requests", limit: 3, taken: 0.5 }] });
  for (const [reducedMotion, seconds] of [["reduce", 0], ["no-preference", 0.3]]) {
    const page = await show({ reducedMotion });
    const moves = await page.locator(".meter i").evaluate((fill) => parseFloat(getComputedStyle(fill).transitionDuration));
    assert.equal(moves, seconds);
  }
});

check("axe finds nothing, marks stand out, and nothing scrolls sideways, on a phone and a desk, by day and by night", async ({ gateway, show }) => {
  await mkdir(join(target, "screenshots"), { recursive: true });
  fill(gateway);
  for (const [width, height] of [[1440, 900], [390, 844]]) {
    for (const colorScheme of ["light", "dark"]) {
      const where = `${width} ${colorScheme}`;
      // Axe puts styles of its own into the page, which its policy would refuse.
      const page = await show({ colorScheme, viewport: { width, height }, bypassCSP: true });
      for (const [event, fields] of everySort("groq/llama-3.3-70b-versatile")) gateway.decide(event, fields);
      await fiveMinutes(page, gateway.state);
      await until("the log has them", async () => (await rows(page)).length > 10);
      assert.deepEqual(await page.evaluate(wider), [], `${where}: wider than there is room`);
      await page.screenshot({ path: join(target, "screenshots", `page-${width}-${colorScheme}.png`), fullPage: true });

      for (const isAsking of [false, true]) {
        if (isAsking) await page.getByRole("button", { name: /^Reset/ }).first().click();
        await page.addScriptTag({ path: axe });
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
        assert.deepEqual(violations.map(({ id, impact, nodes }) => [id, impact, nodes[0].html]), [], where);
      }
      const lowest = await contrast(page);
      for (const [pair, ratio, least] of lowest) assert.ok(ratio >= least, `${where}: ${pair} has ${ratio.toFixed(2)}, not ${least}`);
    }
  }
});

/** In the page: whatever does not fit into its place, be it scrolled or cut off. */
function wider() {
  const isOver = (one) => one.clientWidth > 1 && one.scrollWidth > one.clientWidth + 1;
  return [...document.querySelectorAll("html, body *")].filter((one) => isOver(one) && !one.matches("input")).map((one) => one.outerHTML.slice(0, 120));
}
