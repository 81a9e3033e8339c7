// Every page in a browser: see tests/browser/run. What is wrong is said all at once, at the end.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const { WEB, PASSWORD, DIGEST, HOST, PICTURES } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const problems = [];
const check = (holds, what) => { if (!holds) problems.push(what); };

const pages = {
  repositories: "/repositories",
  filtered: "/repositories?prefix=team%2F&sort=name",
  "nothing-found": "/repositories?q=nothing-has-this-name",
  repository: "/r/team/app",
  image: `/r/team/app/-/m/${DIGEST}?tag=v2`,
  index: "/r/team/sub/index/-/t/platforms",
  chart: "/r/charts/web/-/t/1.2.3",
  overview: "/",
  collection: "/gc",
  uploads: "/uploads",
  audit: "/audit",
  "audit-of-one": "/audit?event_type=manifest_pushed",
  oneself: "/me",
  missing: "/r/none",
};
const sizes = { wide: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });

// A context in which everything that goes wrong is a problem.
const context = async (options) => {
  const made = await browser.newContext({ ignoreHTTPSErrors: true, bypassCSP: false, ...options });
  made.setDefaultTimeout(15000);
  return made;
};
const open = async (made, about) => {
  const page = await made.newPage();
  page.on("console", (message) => {
    // A page that tells of a failure has its status; browsers say so, too.
    if (message.type() === "error" && !/status of (4|5)\d\d/.test(message.text())) problems.push(`${about()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${about()}: ${error}`));
  page.on("requestfailed", (request) => {
    // What was on its way when the page was left is no failure.
    const why = request.failure()?.errorText;
    if (why !== "net::ERR_ABORTED") problems.push(`${about()}: ${request.url()} failed: ${why}`);
  });
  return page;
};
const signIn = async (page, name, password) => {
  await page.goto(`${WEB}/login`);
  await page.fill("#username", name);
  await page.fill("#password", password);
  await page.click("main button[type=submit]");
  await page.waitForURL((url) => url.pathname !== "/login");
  await page.goto(`${WEB}/repositories`);
};

// What axe finds, by its own engine in a world apart, so that the policy of the page holds.
const violations = async (page) => {
  const client = await page.context().newCDPSession(page);
  const { frameTree } = await client.send("Page.getFrameTree");
  const world = await client.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const run = async (expression) => {
    const answer = await client.send("Runtime.evaluate", {
      expression, contextId: world.executionContextId, awaitPromise: true, returnByValue: true,
    });
    if (answer.exceptionDetails) throw new Error(JSON.stringify(answer.exceptionDetails));
    return answer.result.value;
  };
  await run(axe);
  const found = await run("axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((one) => " +
    "`${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).slice(0, 3).join(' ')}`))");
  await client.detach();
  return found;
};

// Each page × light and dark × wide and phone.
for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of Object.entries(sizes)) {
    let about = "login";
    const made = await context({ colorScheme, viewport, reducedMotion: "reduce" });
    const page = await open(made, () => `${about} ${colorScheme} ${size}`);
    const look = async (name) => {
      about = name;
      const where = `${name} ${colorScheme} ${size}`;
      for (const violation of await violations(page)) problems.push(`${where}: ${violation}`);
      const wider = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      check(wider <= 0, `${where}: scrolls sideways by ${wider} px`);
      if (PICTURES) await page.screenshot({ path: `${PICTURES}/${name}-${colorScheme}-${size}.png`, fullPage: size === "wide" });
    };
    await page.goto(`${WEB}/login`);
    await look("login");
    await signIn(page, "admin", PASSWORD);
    for (const [name, path] of Object.entries(pages)) {
      const answer = await page.goto(WEB + path);
      if (name === "chart" && answer.status() === 404) continue;
      check(answer.status() === (name === "missing" ? 404 : 200), `${name}: ${answer.status()}`);
      await look(name);
    }
    await made.close();
  }
}

// Weights: what the first page fetches, and each further one.
{
  const made = await context({});
  const page = await open(made, () => "weights");
  const sent = [];
  const client = await made.newCDPSession(page);
  await client.send("Network.enable");
  client.on("Network.loadingFinished", (event) => sent.push(event.encodedDataLength));
  const weigh = async (path) => {
    sent.length = 0;
    await page.goto(WEB + path, { waitUntil: "networkidle" });
    return sent.reduce((sum, bytes) => sum + bytes, 0);
  };
  const first = await weigh("/login");
  check(first <= 40 * 1024, `the first page weighs ${first} bytes`);
  await signIn(page, "admin", PASSWORD);
  for (const [name, path] of Object.entries(pages)) {
    const weight = await weigh(path);
    check(weight <= 15 * 1024, `${name} weighs ${weight} bytes`);
    console.log(`${name}: ${weight} bytes`);
  }
  await made.close();
}

// The main ways without a script: sign in, filter, open, sign out.
{
  const made = await context({ javaScriptEnabled: false });
  const page = await open(made, () => "without a script");
  await signIn(page, "ada", "long enough");
  await page.fill("#filter", "app");
  await page.click("form[aria-label=Filter] button");
  check((await page.locator("tbody tr").count()) === 1, "the filter shows one repository without a script");
  await page.click("tbody a.name");
  check((await page.textContent("h1")).trim() === "team/app", "a repository opens without a script");
  check((await page.locator(".pull:visible").count()) >= 4, "every client's command is shown without a script");
  await page.fill("#q", `${HOST}/team/app:v2`);
  await page.press("#q", "Enter");
  check((await page.textContent("main")).includes("/bin/app"), "the search leads to an image without a script");
  await page.goto(`${WEB}/me`);
  await page.fill("#name", "ci");
  await page.click("form[action='/me/tokens'] button");
  check((await page.textContent("#made")).startsWith("mcr_"), "a token is made without a script");
  await page.click("form.me button");
  check(page.url().endsWith("/login"), "signing out leads to the login without a script");
  await page.goto(`${WEB}/repositories`);
  check(page.url().includes("/login"), "nothing is shown after signing out");
  await made.close();
}

// A sweep without a script, watched to its end by a page that is fetched again.
{
  const made = await context({ javaScriptEnabled: false });
  const page = await open(made, () => "a sweep");
  await signIn(page, "admin", PASSWORD);
  await page.goto(`${WEB}/gc`);
  await page.getByRole("button", { name: "Dry run" }).click();
  await page.getByText("the last that ended").waitFor();
  check((await page.textContent("main")).includes("Would free"), "a dry run says what it would free");
  await made.close();
}

// The keyboard, and what a script adds.
{
  const made = await context({ permissions: ["clipboard-read", "clipboard-write"] });
  const page = await open(made, () => "keyboard");
  await signIn(page, "admin", PASSWORD);
  await page.keyboard.press("Tab");
  check((await page.evaluate("document.activeElement.textContent")) === "Skip to content", "the first stop skips to the content");
  await page.keyboard.press("/");
  check((await page.evaluate("document.activeElement.id")) === "q", "/ searches");
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  check((await page.evaluate("document.activeElement.className")) === "name", "j and k move among rows");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/r\//);
  await page.keyboard.press("?");
  check(await page.locator("#keys").isVisible(), "? tells of the keys");
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.waitForURL(`${WEB}/repositories`);
  await page.goto(`${WEB}/r/team/app`);
  check((await page.locator(".pull:visible").count()) === 1, "one client's command is shown");
  await page.selectOption("[data-clients] select", "podman");
  await page.click(".pull:visible [data-copy]");
  const copied = await page.evaluate("navigator.clipboard.readText()");
  check(copied.startsWith(`podman pull ${HOST}/team/app:`), `what is copied: ${copied}`);
  await page.reload();
  check((await page.locator(".pull:visible code").textContent()).startsWith("podman"), "the choice of a client is remembered");
  await made.close();
}

await browser.close();
if (problems.length) {
  console.error(problems.join("\n"));
  process.exit(1);
}
