// nodemailer's pooled transport with ready bytes: node send.js PORT CONNECTIONS MESSAGES < MAIL
// Prints one line of JSON when all are accepted.
"use strict";

const { readFileSync } = require("node:fs");
const nodemailer = require("nodemailer");

const [port, connections, messages] = process.argv.slice(2).map(Number);
const raw = readFileSync(0);

async function main() {
  const transport = nodemailer.createTransport({
    pool: true,
    host: "127.0.0.1",
    port,
    secure: false,
    ignoreTLS: true,
    maxConnections: connections,
    maxMessages: Infinity,
  });
  const cpu = process.cpuUsage();
  const began = process.hrtime.bigint();
  let next = 0;
  // No more than the pool works on, twice over: a queue of all would cost memory, not speed.
  async function feed() {
    while (next < messages) {
      const envelope = { from: "editor@example.org", to: [`r${next++}@example.org`] };
      await transport.sendMail({ envelope, raw });
    }
  }
  await Promise.all(Array.from({ length: 2 * connections }, feed));
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const used = process.cpuUsage(cpu);
  transport.close();
  // Not `maxRSS`: that begins with the memory of the parent.
  const rss = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "ascii"))[1]) / 1024;
  console.log(JSON.stringify({ seconds, cpu: (used.user + used.system) / 1e6, max_rss_mb: rss }));
}

main();
