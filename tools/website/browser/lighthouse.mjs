// What Lighthouse says of the table: `nox -s site -- --lighthouse`.
import assert from "node:assert/strict";
import { resolve } from "node:path";
import lighthouse, { desktopConfig } from "lighthouse";
import { launch, serve } from "./serve.mjs";

const LEAST = 95;
const CATEGORIES = ["performance", "accessibility", "best-practices"];

const site = await serve(resolve(process.env.SITE ?? "build/site"));
const browser = await launch();
const scores = [];
try {
  // as Lighthouse measures by default: a phone, its CPU four times slower, slow 4G
  for (const [name, config] of [["phone"], ["desktop", desktopConfig]]) {
    const page = await browser.newPage();
    const found = await lighthouse(`${site.base}/table/`, { onlyCategories: CATEGORIES }, config, page);
    await page.close();
    for (const id of CATEGORIES) {
      const { score, auditRefs } = found.lhr.categories[id];
      scores.push({ name, id, score: Math.round(score * 100) });
      const poor = auditRefs.filter((ref) => ref.weight && (found.lhr.audits[ref.id].score ?? 1) < 0.9);
      console.log(`${name}, ${id}: ${Math.round(score * 100)}`);
      for (const { id: audit } of poor) {
        const { title, displayValue = "" } = found.lhr.audits[audit];
        console.log(`    ${title} ${displayValue}`);
      }
    }
  }
} finally {
  await browser.close();
  site.close();
}
assert.deepEqual(scores.filter(({ score }) => score < LEAST), [], `a score is below ${LEAST}`);
