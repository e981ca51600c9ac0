// Writes newsletter/web/static/vendor from what package-lock.json names: `make vendor`.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const target = join(here, "..", "newsletter", "web", "static", "vendor");

/** For a document, style-mod makes a <style>, which `style-src 'self'` blocks, and adopts a sheet
 * only in a shadow root; every browser that has `document.adoptedStyleSheets` can do both. */
const adoptedSheets = {
  name: "adopted style sheets",
  setup({ onLoad }) {
    onLoad({ filter: /style-mod\.js$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      const parts = source.split("if (!root.head && root.adoptedStyleSheets");
      if (parts.length !== 2) throw new Error("style-mod has changed: look at StyleSet anew");
      return { contents: parts.join("if (root.adoptedStyleSheets"), loader: "js" };
    });
  },
};

async function codemirror() {
  const made = await build({
    entryPoints: [join(here, "codemirror", "entry.js")],
    outfile: join(target, "codemirror", "editor.js"),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    plugins: [adoptedSheets],
    absWorkingDir: here,
  });
  const [{ inputs }] = Object.values(made.metafile.outputs);
  const used = Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  const names = used.map(([path]) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]);
  const packages = [...new Set(names.filter(Boolean))].sort();
  writeFileSync(join(target, "codemirror", "LICENSES.txt"), packages.map(licence).join("\n\n"));
}

function licence(name) {
  const { version, license } = described(name);
  const text = readFileSync(join(modules, name, "LICENSE"), "utf8").trim();
  return `${name} ${version}${license ? ` (${license})` : ""}\n\n${text}\n`;
}

const described = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8"));

function htmx() {
  for (const [name, file] of [["htmx.org", "htmx"], ["htmx-ext-sse", "sse"]]) {
    cpSync(join(modules, name, "dist", `${file}.min.js`), join(target, "htmx", `${file}.min.js`));
  }
  const licences = ["htmx.org", "htmx-ext-sse"].map(licence).join("\n\n");
  writeFileSync(join(target, "htmx", "LICENSES.txt"), licences);
}

/** What the test of the vendored files holds them against. */
function hashes() {
  const sources = ["package.json", "package-lock.json", "build.mjs"].map((name) => join(here, name));
  const own = readdirSync(join(here, "codemirror")).sort().map((name) => join(here, "codemirror", name));
  const made = ["codemirror", "htmx"].flatMap((folder) =>
    readdirSync(join(target, folder)).sort().map((name) => join(target, folder, name)));
  const all = [...sources, ...own, ...made];
  const root = join(here, "..");
  const found = all.map((path) => [
    path.slice(root.length + 1),
    createHash("sha256").update(readFileSync(path)).digest("hex"),
  ]);
  writeFileSync(join(here, "files.json"), JSON.stringify(Object.fromEntries(found), null, 2) + "\n");
}

rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, "codemirror"), { recursive: true });
mkdirSync(join(target, "htmx"), { recursive: true });
await codemirror();
htmx();
hashes();
