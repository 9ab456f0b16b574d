// The gateway's live page in a real browser: `node tests/clients/page.mjs TARGET_DIRECTORY`, which `.ci/run page` does.
// The target directory has the modules that npm put under `page` and the built gateway; `screenshots` under it is written.

import "./page/alone.mjs";
import "./page/over_gateway.mjs";
