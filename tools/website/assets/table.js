// Hides the rows that were not asked for. Everything it knows it reads from the page:
// bit N of a row's data-on says whether the Nth release has it.
"use strict";

/** How many rows below names are shown by themselves; more stay folded, and are counted. */
const UNFOLDED = 30;

const $ = (id) => document.getElementById(id);
const FIELDS = ["q", "area", "flax", "show", "from", "to"];
const versions = [...document.querySelectorAll("[data-release]")].map((e) => e.dataset.release);
const every = (1n << BigInt(versions.length)) - 1n;
const mask = (element) => BigInt("0x" + element.dataset.on);

const entries = [...document.querySelectorAll("section > ul > li")].map((row) => {
  const change = row.classList.contains("c");
  return {
    row,
    id: row.id.toLowerCase(),
    section: row.closest("section"),
    text: (change ? row : row.firstElementChild).textContent.toLowerCase(),
    on: mask(row),
    details: row.querySelector("details"),
    summary: row.querySelector("summary"),
    hidden: false, // what the page has to say of it: asking the page itself takes time
    change: "",
    hits: 0,
    below: null, // read when first needed
    shown: null, // the rows below that are asked for, null for all
    byUs: false, // whether it was unfolded by a search and not by a person
  };
});

const sections = [...document.querySelectorAll("section[data-area]")].map((row) => ({ row, hidden: false }));

/** The rows right below a name: its parameters and members, each with what is in it. */
function below(entry) {
  if (!entry.details) return [];
  entry.below ??= [...entry.details.lastElementChild.children].map((row) => ({
    row,
    id: row.id.toLowerCase(),
    hidden: false,
    change: "",
    text: `${entry.row.id} ${row.textContent}`.toLowerCase(),
    on: [row, ...row.querySelectorAll("[data-on]")].filter((r) => r.dataset.on).map(mask),
  }));
  return entry.below;
}

const numbers = (version) => version.split(".").map(Number);

function compare(one, other) {
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    const difference = (one[at] ?? 0) - (other[at] ?? 0);
    if (difference) return difference;
  }
  return 0;
}

/** Whether a release is in a range as requirements write it: ">=0.10,!=0.12.1", "0.11.*". */
function admits(range, version) {
  return range.split(",").every((part) => {
    const found = part.match(/^\s*(>=|<=|==|!=|~=|>|<)?\s*(\d+(?:\.\d+)*)(\.\*)?\s*$/);
    if (!found) throw new SyntaxError(part);
    const [, operator = "==", stated, star] = found;
    const bound = numbers(stated);
    const at = numbers(version);
    const order = compare(at, bound);
    const within = (length) => compare(at.slice(0, length), bound.slice(0, length)) === 0;
    if (star) return within(bound.length) === (operator !== "!=");
    switch (operator) {
      case ">=": return order >= 0;
      case "<=": return order <= 0;
      case ">": return order > 0;
      case "<": return order < 0;
      case "!=": return order !== 0;
      case "~=": return order >= 0 && within(bound.length - 1);
      default: return order === 0;
    }
  });
}

/** The releases that a range admits, as bits; null where it is none. */
function releasesIn(range) {
  try {
    return versions.reduce((bits, v, at) => (admits(range, v) ? bits | (1n << BigInt(at)) : bits), 0n);
  } catch {
    return null;
  }
}

/** What is asked, from the fields. */
function asked() {
  const value = Object.fromEntries(FIELDS.map((id) => [id, $(id).value.trim()]));
  const range = value.flax ? releasesIn(value.flax) : every;
  $("flax").setAttribute("aria-invalid", String(!range));
  const [from, to] = [versions.indexOf(value.from), versions.indexOf(value.to)].map(BigInt);
  return {
    ...value,
    terms: value.q.toLowerCase().replace(/^(from )?flax[.]/, "").split(/[\s()=,]+/).filter(Boolean),
    range: range || every,
    wrong: range ? "" : "A range is written >=0.10,<0.12",
    pair: from >= 0n && to >= 0n && from !== to ? [from, to] : null,
  };
}

function fits(on, ask) {
  if (ask.pair && ((on >> ask.pair[0]) & 1n) === ((on >> ask.pair[1]) & 1n)) return false;
  const here = on & ask.range;
  if (ask.show === "all") return here === ask.range;
  if (ask.show === "some") return here !== ask.range && here !== 0n;
  return here !== 0n || ask.range === every || Boolean(ask.pair);
}

function changed(one, on, pair) {
  const differs = pair && ((on >> pair[0]) & 1n) !== ((on >> pair[1]) & 1n);
  const change = !differs ? "" : (on >> pair[1]) & 1n ? "came" : "went";
  if (change === one.change) return;
  one.change = change;
  if (change) one.row.dataset.change = change;
  else delete one.row.dataset.change;
}

function hide(one, hidden) {
  if (one.hidden !== hidden) one.hidden = one.row.hidden = hidden;
}

function count(entry, hits) {
  if (entry.hits === hits) return;
  entry.hits = hits;
  if (hits) entry.summary.dataset.hits = `${hits} found`;
  else delete entry.summary.dataset.hits;
}

/** Shows the rows below a name that are asked for. */
function unfold(entry, ask) {
  for (const one of below(entry)) {
    hide(one, Boolean(entry.shown) && !entry.shown.has(one));
    changed(one, one.on[0] ?? 0n, ask.pair);
  }
}

let current = null;

function apply() {
  const ask = asked();
  current = ask;
  // of a name that was found by itself all below it is shown, unless the releases say which
  const narrowing = Boolean(ask.pair) || ask.show === "some";
  let names = 0;
  let inside = 0;
  const open = new Set(); // sections with a row
  const found = [];
  for (const entry of entries) {
    let shown = false;
    entry.shown = null;
    if (ask.area === "" || entry.section.dataset.area === ask.area) {
      const named = ask.terms.every((term) => entry.text.includes(term));
      shown = named && fits(entry.on, ask);
      if (!named || narrowing) {
        const hits = below(entry).filter(
          (one) => (named || ask.terms.every((t) => one.text.includes(t))) && one.on.some((on) => fits(on, ask)),
        );
        entry.shown = new Set(hits);
        inside += hits.length;
        if (hits.length) found.push(entry);
        shown ||= hits.length > 0;
      }
    }
    hide(entry, !shown);
    changed(entry, entry.on, ask.pair);
    if (shown) {
      names++;
      open.add(entry.section);
    }
  }
  const unfolded = inside <= UNFOLDED ? new Set(found) : new Set();
  for (const entry of entries) {
    if (!entry.details) continue;
    count(entry, entry.shown?.size ?? 0);
    if (unfolded.has(entry) && !entry.details.open) {
      entry.details.open = entry.byUs = true;
    } else if (entry.byUs && !unfolded.has(entry)) {
      entry.details.open = entry.byUs = false;
    }
    if (entry.details.open && !entry.hidden) unfold(entry, ask);
  }
  for (const section of sections) hide(section, !open.has(section.row));
  shade(ask.range);
  const row = best(ask);
  $("best").hidden = !row;
  if (row) {
    $("best").hash = row.id;
    $("best").textContent = `↵ ${row.id}`;
  }
  const more = inside ? `, ${inside} below them` : "";
  $("told").value = ask.wrong || `${names} of ${entries.length} rows${more}`;
  later(ask);
}

let shaded = every;

/** Greys the releases outside of the range, in all strips at once. */
function shade(range) {
  if (range === shaded) return;
  shaded = range;
  const parts = versions.map((_, at) => {
    const colour = (range >> BigInt(at)) & 1n ? "transparent" : "color-mix(in srgb, var(--page) 80%, transparent)";
    return `${colour} ${(100 * at) / versions.length}% ${(100 * (at + 1)) / versions.length}%`;
  });
  const wanted = range === every ? "" : `linear-gradient(to right, ${parts.join(",")})`;
  const { classList, style } = document.documentElement;
  classList.toggle("ranged", Boolean(wanted));
  style.setProperty("--out", wanted || "none");
}

// a browser allows so many changes of the address in a time
let waiting = 0;

function later(ask) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const stated = FIELDS.filter((id) => ask[id]).map((id) => `${id}=${encodeURIComponent(ask[id])}`);
    const query = stated.length ? `?${stated.join("&")}` : location.pathname;
    history.replaceState(null, "", query + location.hash);
  }, 300);
}

/** Follows the address to its row, whatever hides it. */
function follow() {
  const row = location.hash && $(decodeURIComponent(location.hash.slice(1)));
  if (!row || !row.dataset.on) return;
  if (row.closest("[hidden]")) {
    $("ask").reset();
    apply();
  }
  for (let at = row.parentElement; at; at = at.parentElement) if (at.localName === "details") at.open = true;
  row.querySelector("a").focus({ preventScroll: true });
  scrollTo(row, 4);
}

/** Rows have their height once they were seen, so that what is between may still grow. */
function scrollTo(row, more) {
  row.scrollIntoView({ block: "center" });
  if (more) requestAnimationFrame(() => scrollTo(row, more - 1));
}

const links = () => [...document.querySelectorAll("main section[data-area] .r > a")].filter((a) => a.checkVisibility());

/** The row whose last word is the last word that was typed. */
function best(ask) {
  const word = ask.terms.at(-1);
  if (!word) return null;
  const shown = entries.filter((entry) => !entry.hidden);
  const exact = shown.find(({ id }) => id === `nnx.${word}`);
  if (exact) return exact.row;
  for (const entry of shown) {
    for (const one of entry.shown ?? []) if (one.id.endsWith(`.${word}`) || one.id.endsWith(`:${word}`)) return one.row;
  }
  return shown[0]?.row ?? null;
}

function key(event) {
  const typing = /^(INPUT|SELECT)$/.test(event.target.tagName);
  if (event.key === "/" && !typing) {
    $("q").focus();
    $("q").select();
  } else if (event.key === "Escape") {
    $("ask").reset();
    apply();
    $("q").focus();
  } else if (event.key === "Enter" && event.target.id === "q") {
    if (!$("best").hidden) {
      location.hash = $("best").hash;
      follow();
    }
  } else if (/^Arrow(Down|Up)$/.test(event.key) && (event.target.id === "q" || event.target.matches(".r > a"))) {
    const all = links();
    const at = all.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1);
    (at < 0 ? $("q") : all[Math.min(at, all.length - 1)])?.focus();
  } else {
    return;
  }
  event.preventDefault();
}

const stated = new URLSearchParams(location.search);
for (const id of FIELDS) if (stated.has(id)) $(id).value = stated.get(id);
$("ask").addEventListener("input", apply);
$("ask").addEventListener("submit", (event) => event.preventDefault());
$("ask").addEventListener("reset", () => setTimeout(apply));
for (const entry of entries) {
  entry.details?.addEventListener("toggle", () => current && entry.details.open && unfold(entry, current));
}
document.addEventListener("keydown", key);
addEventListener("hashchange", follow);
apply();
addEventListener("load", follow); // the browser's own way there comes first, and takes the focus
// so that the first search does not pay for reading what is below the names
(globalThis.requestIdleCallback ?? setTimeout)(() => entries.forEach(below));
