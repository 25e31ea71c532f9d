// What people do with the table, in a headless Chromium. Expectations are computed from
// nnx.json beside the page, which tests/test_site.py holds to the facts.
//
//     SITE=build/site SHOTS=build/screenshots node --test tools/website/browser
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import axe from "axe-core";
import { launch, serve } from "./serve.mjs";

const SITE = resolve(process.env.SITE ?? "build/site");
const SHOTS = resolve(process.env.SHOTS ?? "build/screenshots");
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
/** Milliseconds, with the CPU four times slower. */
const ANSWER = 50;
const PAINT = 1800;

const facts = JSON.parse(readFileSync(join(SITE, "table", "nnx.json"), "utf8"));
const versions = facts.releases.map((release) => release.version);
let browser;
let site;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  site = await serve(SITE);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  site?.close();
});

/** Opens a page, lets something be done with it, and fails on anything in its console. */
async function on(path, doing, { size = WIDE, dark = false, script = true } = {}) {
  const context = await browser.createBrowserContext(); // nothing is kept from another test
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => ["error", "warn"].includes(message.type()) && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("requestfailed", (request) => wrong.push(`failed: ${request.url()}`));
  page.on("response", (response) => response.status() >= 400 && wrong.push(`${response.status()}: ${response.url()}`));
  page.on("request", (request) => {
    const { protocol } = new URL(request.url());
    if (/^http/.test(protocol) && !request.url().startsWith(site.base)) wrong.push(`asks another host: ${request.url()}`);
  });
  await page.setViewport(size);
  await page.setJavaScriptEnabled(script);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  await page.goto(site.base + path, { waitUntil: "load" });
  try {
    await doing(page);
  } finally {
    await context.close();
  }
  assert.deepEqual(wrong, []);
}

const shoot = (page, name, more = {}) => page.screenshot({ path: join(SHOTS, `${name}.png`), ...more });
const settled = () => new Promise((done) => setTimeout(done, 200));
const rows = (page) =>
  page.$$eval("section[data-area] > ul > li", (all) => all.filter((row) => row.checkVisibility()).map((row) => row.id));
const isOpen = (page, id) => page.evaluate((id) => document.getElementById(id).checkVisibility(), id);
const focused = (page) => page.evaluate(() => document.activeElement.closest("[data-on]")?.id ?? document.activeElement.id);

// -- what the document says, computed here ------------------------------------------

const place = (version, otherwise) => {
  if (version === null) return otherwise;
  const order = (v) => v.split(".").reduce((sum, part) => sum * 1000 + Number(part), 0);
  return versions.findLastIndex((known) => order(known) <= order(version));
};
const having = (intervals, at) =>
  intervals.some(({ first, last }) => place(first, 0) <= at && at <= place(last, versions.length - 1));
const isTop = (name) => name.path.split(".").length === 2;

/** The names and changes for which something is true of the intervals of a row or one below it. */
function rowsWhere(is) {
  const top = facts.names.filter(isTop).filter((name) => {
    const all = facts.names.filter((other) => other === name || other.path.startsWith(`${name.path}.`));
    return all.some((one) => is(one.releases) || Object.values(one.parameters).some(is));
  });
  return [...top.map((name) => name.path), ...facts.behaviours.filter((b) => is(b.releases)).map((b) => b.id)].sort();
}

// -- what people do -----------------------------------------------------------------

test("all rows are there at first", () =>
  on("/table/", async (page) => {
    const shown = await rows(page);
    assert.equal(shown.length, facts.names.filter(isTop).length + facts.behaviours.length);
    await shoot(page, "table");
  }));

test("typing a name finds it, and Enter goes to it", () =>
  on("/table/", async (page) => {
    await page.type("#q", "list");
    await settled();
    const shown = await rows(page);
    assert.ok(shown.includes("nnx.List") && shown.includes("list-of-modules-is-refused"));
    assert.ok(shown.length < 20);
    await shoot(page, "search");
    await page.keyboard.press("Enter");
    await settled();
    assert.equal(await page.evaluate(() => location.hash), "#nnx.List");
    assert.equal(await focused(page), "nnx.List");
  }));

test("a parameter is found by its function's name and its own", () =>
  on("/table/?q=scan%20in_axes", async (page) => {
    assert.ok((await rows(page)).includes("nnx.scan"));
    assert.ok(await isOpen(page, "nnx.scan:in_axes"));
    assert.ok(!(await isOpen(page, "nnx.scan:graph")));
    await shoot(page, "search-phone");
  }, { size: PHONE }));

test("what is typed is in the address, and comes back from it", () =>
  on("/table/", async (page) => {
    await page.type("#q", "dropout");
    await page.type("#flax", ">=0.10");
    await page.waitForFunction(() => location.search.includes("flax="));
    const [address, shown] = [page.url(), await rows(page)];
    assert.ok(decodeURIComponent(address).endsWith("?q=dropout&flax=>=0.10"), address);
    await page.goto(address);
    assert.deepEqual(await rows(page), shown);
  }));

for (const id of ["nnx.List", "nnx.Variable.get_value", "nnx.scan:in_axes", facts.behaviours[0].id]) {
  test(`the permalink #${id} leads to its row, even when a search hides it`, () =>
    on(`/table/?q=zzz#${id}`, async (page) => {
      await page.waitForFunction((id) => document.getElementById(id).checkVisibility(), {}, id);
      await settled();
      const box = await (await page.$(`[id="${id}"]`)).boundingBox();
      assert.ok(box.y >= 0 && box.y < WIDE.height, `at ${box.y}`);
      assert.equal(await focused(page), id);
      if (id === "nnx.List") await shoot(page, "permalink");
    }));
}

test("two releases are compared", () =>
  on("/table/", async (page) => {
    const [from, to] = [versions.indexOf("0.10.7"), versions.length - 1];
    await page.select("#from", versions[from]);
    await page.select("#to", versions[to]);
    await settled();
    const expected = rowsWhere((intervals) => having(intervals, from) !== having(intervals, to));
    assert.deepEqual((await rows(page)).sort(), expected);
    const marked = await page.$$eval("section > ul > [data-change]", (all) => all.map((row) => [row.id, row.dataset.change]));
    const changes = [...facts.names.filter(isTop), ...facts.behaviours].flatMap(({ path, id, releases }) => {
      const [before, after] = [having(releases, from), having(releases, to)];
      return before === after ? [] : [[path ?? id, after ? "came" : "went"]];
    });
    assert.deepEqual(marked.sort(), changes.sort());
    await shoot(page, "compare");
  }));

test("a declared range leaves the rows that are on all of it", () =>
  on("/table/?flax=>=0.10,<0.12&show=all", async (page) => {
    const within = versions.map((v, at) => at).filter((at) => /^0[.]1[01][.]/.test(versions[at]));
    const all = (intervals) => within.every((at) => having(intervals, at));
    const named = facts.names.filter((name) => isTop(name) && all(name.releases)).map((name) => name.path);
    const changes = facts.behaviours.filter((b) => all(b.releases)).map((b) => b.id);
    assert.deepEqual((await rows(page)).sort(), [...named, ...changes].sort());
    await shoot(page, "range");
  }));

test("a range that is none is said to be none", () =>
  on("/table/", async (page) => {
    await page.type("#flax", "newest");
    await settled();
    assert.match(await page.$eval("#told", (told) => told.value), /A range is written/);
    assert.equal(await page.$eval("#flax", (field) => field.ariaInvalid), "true");
  }));

test("an area is chosen", () =>
  on("/table/?area=5", async (page) => {
    const area = await page.$eval("#area", (field) => field.selectedOptions[0].textContent);
    const expected = [...facts.names.filter(isTop), ...facts.behaviours].filter((row) => row.area === area);
    assert.deepEqual((await rows(page)).sort(), expected.map((row) => row.path ?? row.id).sort());
  }));

test("the keyboard is enough", () =>
  on("/table/", async (page) => {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.keyboard.press("/");
    assert.equal(await focused(page), "q");
    await page.keyboard.type("optimizer");
    await page.keyboard.press("ArrowDown");
    const [first, second] = await rows(page);
    assert.equal(await focused(page), first);
    await page.keyboard.press("ArrowUp");
    assert.equal(await focused(page), "q");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    assert.equal(await focused(page), second);
    await page.keyboard.press("/");
    await page.keyboard.press("Enter");
    await settled();
    assert.equal(await focused(page), "nnx.Optimizer");
    await page.keyboard.press("Tab"); // to what is below the name
    await page.keyboard.press("Enter");
    await settled();
    assert.ok(await isOpen(page, "nnx.Optimizer.update"));
    await page.keyboard.press("Escape");
    await settled();
    assert.equal(await focused(page), "q");
    assert.equal(await page.$eval("#q", (field) => field.value), "");
  }));

test("it reads without JavaScript", () =>
  on("/table/", async (page) => {
    const text = await page.$eval("main", (main) => main.textContent);
    for (const { path } of facts.names.filter(isTop)) assert.ok(text.includes(path), path);
    assert.ok(!(await page.$eval("#ask", (form) => form.checkVisibility())));
    await page.focus('[id="nnx.List"] summary');
    await page.keyboard.press("Enter");
    await settled();
    assert.ok(await isOpen(page, "nnx.List.append"));
  }, { script: false }));

test("it prints without what is there to be typed into", () =>
  on("/table/?q=list", async (page) => {
    await page.emulateMediaType("print");
    assert.ok(!(await isOpen(page, "ask")));
    assert.ok(await isOpen(page, "nnx.List"));
    await shoot(page, "print");
  }));

test("nothing is wider than a phone", () =>
  on("/table/?from=0.10.7&to=0.12.12", async (page) => {
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= PHONE.width);
    await shoot(page, "compare-phone");
  }, { size: PHONE }));

test(`a search is answered in ${ANSWER} ms on a CPU four times slower`, (t) =>
  on("/table/", async (page) => {
    const search = (word) =>
      page.evaluate((word) => {
        const start = performance.now();
        document.getElementById("q").value = word;
        document.getElementById("q").dispatchEvent(new Event("input", { bubbles: true }));
        document.body.getBoundingClientRect(); // and it is laid out
        return performance.now() - start;
      }, word);
    await page.emulateCPUThrottling(4);
    await new Promise((done) => setTimeout(done, 1500)); // what is done when idle
    for (const word of ["l", "li", "list", "a", "get_value", "scan in_axes", "dropout rngs", "", "zzz"]) {
      let times;
      // a machine that tests has other things to do: what was too slow is measured again, twice
      for (let round = 0; round < 3 && !(times?.[3] <= ANSWER); round++) {
        times = [];
        for (let n = 0; n < 7; n++) {
          await search("state");
          times.push(await search(word));
        }
        times.sort((a, b) => a - b);
      }
      t.diagnostic(`${JSON.stringify(word)}: ${times[3].toFixed(0)} ms, the fastest ${times[0].toFixed(0)}`);
      assert.ok(times[3] <= ANSWER, `${JSON.stringify(word)} took ${times.map(Math.round)} ms`);
    }
  }));

test(`it is painted within ${PAINT} ms on a CPU four times slower`, (t) =>
  on("/", async (page) => {
    await page.emulateCPUThrottling(4);
    await page.goto(`${site.base}/table/`);
    const paint = await page.evaluate(
      () =>
        new Promise((done) =>
          new PerformanceObserver((list) => done(list.getEntriesByName("first-contentful-paint")[0].startTime)).observe({
            type: "paint",
            buffered: true,
          }),
        ),
    );
    t.diagnostic(`first contentful paint: ${paint.toFixed(0)} ms`);
    assert.ok(paint <= PAINT, `${paint} ms`);
  }));

/** What axe says against a page, as it is shown. */
async function against(page) {
  // what is off the screen has a guessed height, until it is scrolled to
  await page.addStyleTag({ content: "li { content-visibility: visible !important }" });
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }),
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.length}, ${nodes[0].html} ${nodes[0].failureSummary}`);
}

test("WCAG AA by axe: the whole table", () =>
  on("/table/", async (page) => {
    assert.deepEqual(await against(page), []);
  }, { size: PHONE }));

for (const path of ["/", "/reference/operations/", `/releases/${versions.at(-1)}/`]) {
  for (const dark of [false, true]) {
    test(`WCAG AA by axe: ${path}, ${dark ? "dark" : "light"}`, () =>
      on(path, async (page) => {
        await settled();
        assert.equal(await page.evaluate(() => document.body.dataset.mdColorScheme), dark ? "slate" : "default");
        await shoot(page, `page${path.replaceAll("/", "-")}${dark ? "dark" : "light"}`);
        assert.deepEqual(await against(page), []);
      }, { dark }));
  }
}

for (const dark of [false, true]) {
  for (const [name, path, size] of [
    ["variables", "/table/?area=2", WIDE],
    ["found", "/table/?q=scan%20in_axes", WIDE],
    ["compared", "/table/?from=0.12.7&to=0.12.12&area=5", PHONE],
    ["band", "/table/?q=zzz#band", WIDE],
  ]) {
    const scheme = dark ? "dark" : "light";
    test(`WCAG AA by axe: ${name}, ${scheme}`, () =>
      on(path, async (page) => {
        await settled();
        await shoot(page, `${name}-${scheme}`);
        // what is hidden was looked at above, and axe takes its time over it
        await page.$$eval("[data-area] li[hidden], section[hidden]", (all) => all.forEach((row) => row.remove()));
        assert.deepEqual(await against(page), []);
      }, { size, dark }));
  }
}
