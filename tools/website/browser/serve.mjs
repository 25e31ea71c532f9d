// The built site on a port of this machine, and a browser to look at it.
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { createGzip } from "node:zlib";
import puppeteer from "puppeteer-core";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

function fileFor(root, address) {
  const path = join(root, normalize(decodeURIComponent(new URL(address, "http://site").pathname)));
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return fileFor(root, `${address.split(/[?#]/)[0]}/index.html`.replace("//", "/"));
  return stat && path.startsWith(root) ? path : null;
}

/** Serves a folder, compressed as any host of static pages does; resolves to its address. */
export async function serve(root) {
  const server = createServer((request, response) => {
    const file = fileFor(root, request.url);
    if (!file) return response.writeHead(404).end("not here");
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "content-encoding": "gzip", "cache-control": "max-age=600" });
    return createReadStream(file).pipe(createGzip()).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { base: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** The path of a Chromium: the one that CHROMIUM names, else the one npm brought. */
export async function chromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const { default: packed } = await import("@sparticuz/chromium");
  return packed.executablePath();
}

/** A headless browser; an error that says what to do where there is none. */
export async function launch(...more) {
  try {
    return await puppeteer.launch({
      executablePath: await chromium(),
      // containers that run tests have no user namespaces; only our own pages are opened
      args: ["--no-sandbox", "--disable-dev-shm-usage", "--font-render-hinting=none", ...more],
      headless: "shell",
    });
  } catch (error) {
    throw new Error(
      `no browser starts: ${error.message}\n` +
        "  instead: CHROMIUM=/usr/bin/chromium nox -s site, with a Chromium of your own\n" +
        "  or:      nox -s site -- --no-browser, which builds the site and tries nothing",
      { cause: error },
    );
  }
}
