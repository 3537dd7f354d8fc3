// Serves the built site as `tfnca play` does and opens it in Chromium; for the tests and the bench.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Runs `work(open, address)`; `open(options)` gives a page that records what goes wrong. */
export async function withSite(work) {
  const play = new URL("../../tfnca/play.py", import.meta.url).pathname;
  const server = spawn(process.env.PYTHON ?? "python3", ["-I", play, "--no-browser", "--port", "0"]);
  server.stderr.pipe(process.stderr);
  const [said] = await once(server.stdout, "data");
  const [address] = String(said).match(/http:\S+/);
  const profile = mkdtempSync(join(tmpdir(), "tfnca-"));
  const contexts = [];
  const launch = (options) =>
    chromium.launchPersistentContext(join(profile, String(contexts.length)), {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      headless: true,
      args: FLAGS,
      viewport: { width: 1280, height: 900 },
      ...options,
    });
  try {
    await work(async (options) => {
      const context = await launch(options);
      contexts.push(context);
      const page = context.pages()[0] ?? (await context.newPage());
      page.errors = [];
      page.foreign = [];
      page.on("pageerror", (error) => page.errors.push(String(error)));
      page.on("console", (message) => {
        if (message.type() === "error") page.errors.push(message.text());
      });
      page.on("request", (request) => {
        const url = request.url();
        if (/^(https?|wss?):/.test(url) && !url.startsWith(address)) page.foreign.push(url);
      });
      return page;
    }, address);
  } finally {
    for (const context of contexts) await context.close();
    server.kill();
    rmSync(profile, { recursive: true, force: true });
  }
}

export const ready = (page) => page.waitForSelector("html[data-ready]", { timeout: 60_000 });
