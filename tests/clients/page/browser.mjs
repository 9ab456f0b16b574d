// Chromium without a window, and what every test wants of it.

import { createRequire } from "node:module";
import { join, resolve } from "node:path";

/** The modules that npm put under the target directory; see `.ci/run`. */
export function modules(target) {
  const require = createRequire(join(resolve(target), "page", "modules.cjs"));
  return { chromium: require("playwright-core").chromium, axe: require.resolve("axe-core") };
}

export async function launch(chromium) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"],
  });
}

/** A page that remembers all that went wrong in it, and everything that it asked for. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.requested = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && page.wrong.push(message.text()));
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("dialog", (dialog) => { page.wrong.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => page.requested.push(request.url()));
  page.on("requestfailed", (request) => page.wrong.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on("response", (response) => response.status() >= 400 && page.wrong.push(`${response.url()}: ${response.status()}`));
  await page.goto(url);
  return page;
}

/** Asks until the answer is a true one, at most for so many milliseconds. */
export async function until(what, ask, millis = 10_000) {
  const end = performance.now() + millis;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > end) throw new Error(`not within ${millis} ms: ${what}`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

/** The contrast of the page's colours, as `[pair, ratio, least]`, with the least that WCAG 2.2 AA asks (1.4.3 for text, 1.4.11 for marks). */
export async function contrast(page) {
  const names = ["ground", "card", "track", "edge", "text", "faint", "fill", "good", "busy", "bad", "warn"];
  const colours = Object.fromEntries(await page.evaluate((all) => all.map((name) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    const channels = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
    probe.remove();
    return [name, channels];
  }), names));
  const linear = (channel) => (channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (name) => {
    const [red, green, blue] = colours[name].map(linear);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const pairs = (fronts, backs, least) => fronts.flatMap((front) => backs.map((back) => [`${front} on ${back}`, ratio(front, back), least]));
  return [
    ...pairs(["text", "faint", "good", "busy", "bad"], ["card", "ground"], 4.5),
    ...pairs(["text"], ["track"], 4.5),
    ...pairs(["fill", "warn", "bad"], ["track", "card"], 3),
    ...pairs(["fill", "edge"], ["card", "ground"], 3),
  ];
}
