// How a test of the page begins and ends, and how it reads the page.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch, modules, open, until } from "./browser.mjs";
import { ScriptedGateway, TOKEN } from "./scripted.mjs";
import { StartedGateway } from "./started.mjs";

export const target = process.argv[2] ?? "target";
export const binary = join(target, "debug", "examples", "gateway");
export const { chromium, axe } = modules(target);
let browser, checks = 0, passed = 0;

before(async () => { browser = await launch(chromium); });
after(async () => {
  await browser.close();
  // In cargo's words, for `.ci/run` counts them.
  if (passed === checks) console.log(`test result: ok. ${passed} passed`);
});

/** A test with a scripted gateway of its own, after which nothing may have gone wrong in any of its pages. */
export function check(name, body) {
  checkOver(name, false, () => ScriptedGateway.start(), body);
}

/** A test with the gateway that was built. `prepare` gives what its environment sets. */
export function checkBuilt(name, prepare, body) {
  const start = async (afterwards) => StartedGateway.start(binary, { GATEWAY_ADMIN_TOKEN: TOKEN, ...await prepare(afterwards) });
  checkOver(name, !existsSync(binary) && `there is no ${binary}`, start, body);
}

function checkOver(name, skip, start, body) {
  if (!skip) checks += 1;
  test(name, { timeout: 90_000, skip }, async () => {
    const afterwards = [];
    try {
      const gateway = await start(afterwards), pages = [];
      afterwards.push(() => gateway.stop());
      const show = async (options) => {
        const page = await open(browser, gateway.url, options);
        pages.push(page);
        afterwards.push(() => page.context().close());
        await until("the page is live", () => isLive(page));
        return page;
      };
      await body({ gateway, show });
      for (const page of pages) assert.deepEqual(page.wrong, []);
    } finally {
      for (const end of afterwards.reverse()) await end();
    }
    passed += 1;
  });
}

export const isLive = async (page) => (await page.textContent("#link")) === "live";
export const card = (page, id) => page.locator("#cards > li", { has: page.getByRole("heading", { name: id, exact: true }) });
export const note = (page, id) => card(page, id).locator(".note").textContent();
export const rows = (page) => page.locator("#log > li").evaluateAll((all) => all.map((row) => row.lastChild.textContent));
