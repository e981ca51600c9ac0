// The editor of an issue: checks and previews what is written, keeps it, and never loses any.
// Without this file the page is a form that works.

import { edit } from "../vendor/codemirror/editor.js";
import { show } from "./sides.js";

const CHECK_AFTER_MILLISECONDS = 350;
const SAVE_AFTER_MILLISECONDS = 1500;
const TRY_AGAIN_MILLISECONDS = 5000;

const desk = document.getElementById("desk");
const form = document.getElementById("editor");
const field = document.getElementById("text");
const status = document.getElementById("saved");
const says = desk.dataset;
const readOnly = field.readOnly;

let editor;
let stored = says.stored === "1" ? field.value : null;
let saving = null;
let blocked = false;
let checkTimer;
let saveTimer;
let checks = 0;
let looking = 0;
let at = 0;
let before = field.value;

function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

function ask(path, body, headers = {}) {
  // So marked, a page that wants a login says so instead of sending us there.
  return fetch(says.base + path, { method: "POST", body, headers: { "HX-Request": "true", ...headers } });
}

function fields(more = {}) {
  const data = new FormData(form);
  data.set("text", editor.text());
  for (const [name, value] of Object.entries(more)) data.set(name, value);
  return data;
}

// What is found, how large the mail is, where its entries are.

async function check() {
  const number = ++checks;
  let response;
  try {
    response = await ask("/check", fields());
  } catch {
    return false;
  }
  if (!response.ok || number !== checks) return false;
  const made = document.createElement("template");
  made.innerHTML = await response.text();
  for (const fresh of [...made.content.children]) {
    const shown = document.getElementById(fresh.id);
    // What is the same stays, and with it whoever stands in it by keyboard.
    if (shown && !shown.isEqualNode(fresh)) shown.replaceWith(fresh);
  }
  mark();
  return true;
}

async function look() {
  looking += 1;
  try {
    // Who is logged out meanwhile, or without a connection, keeps what is shown.
    if (await check()) preview();
  } finally {
    looking -= 1;
  }
}

// Once a preview has asked for its pictures, the server knows which are not to be had. A look that
// is under way is not overtaken: its own preview comes and asks.

function checkPictures() {
  if (!looking && document.getElementById("findings").dataset.outside) check();
}

function mark() {
  const found = [...document.querySelectorAll("#findings [data-lines]")].flatMap((item) =>
    item.dataset.lines.split(" ").map((line) => ({
      line: Number(line),
      severity: item.dataset.severity,
      text: item.dataset.text,
    })));
  editor.setFindings(found);
}

// The preview: a frame of its own each time, so that the browser's way back stays the editor's.

const frame = document.getElementById("frame");
const choices = document.getElementById("choices");
let frames = 0;

function preview() {
  const next = document.createElement("iframe");
  const current = frame.querySelector("iframe:not(.coming)");
  frame.querySelectorAll("iframe.coming").forEach((late) => late.remove());
  next.setAttribute("sandbox", "");
  next.name = `preview-${++frames}`;
  next.title = current.title;
  next.className = "coming";
  frame.append(next);
  const post = document.createElement("form");
  post.method = "post";
  post.action = `${says.base}/preview#at-${at}`;
  post.target = next.name;
  post.hidden = true;
  const sent = {
    form_token: form.elements.form_token.value,
    text: editor.text(),
    shape: choices.elements.shape.value,
    scheme: choices.elements.scheme.value,
    reader: choices.elements.reader.value,
    address: document.getElementById("address")?.value ?? "",
  };
  for (const [name, value] of Object.entries(sent)) {
    const input = document.createElement("textarea");
    input.name = name;
    input.value = value;
    post.append(input);
  }
  document.body.append(post);
  next.addEventListener("load", () => {
    if (!next.isConnected) return;
    next.classList.remove("coming");
    current.remove();
    checkPictures();
  });
  post.submit();
  post.remove();
}

choices.addEventListener("change", (event) => {
  if (event.target.name === "reader") {
    const address = document.getElementById("address");
    if (address) address.value = "";
  }
  frame.className = `frame ${choices.elements.width.value} ${choices.elements.scheme.value}`;
  if (event.target.name !== "width") preview();
});
choices.addEventListener("submit", (event) => {
  event.preventDefault();
  preview();
});

// Where somebody writes: the section or entry that the first changed line belongs to.

function headingsAbove(text) {
  let from = 0;
  while (from < text.length && text[from] === before[from]) from += 1;
  before = text;
  const end = text.indexOf("\n", from);
  return text.slice(0, end < 0 ? text.length : end).split(/^#{2,3} /m).length - 1;
}

// Keeping.

function unsaved() {
  return !readOnly && editor.text() !== stored;
}

async function save(autosave) {
  clearTimeout(saveTimer);
  if (saving) await saving;
  if (!unsaved() && autosave) return;
  if (blocked) return;
  saving = keep("/save", { autosave: autosave ? "1" : "" });
  await saving;
  saving = null;
}

async function keep(path, more) {
  const sent = fields(more);
  say(says.saving);
  let response;
  try {
    response = await ask(path, sent, { Accept: "application/json" });
  } catch {
    say(says.lost, true);
    saveTimer = setTimeout(() => save(true), TRY_AGAIN_MILLISECONDS);
    return null;
  }
  if (response.status === 401 || response.status === 403) {
    say(says.out, true);
    return null;
  }
  const type = response.headers.get("content-type") ?? "";
  const answer = type.includes("json") ? await response.json() : {};
  if (response.ok) return kept(answer, sent.get("text"));
  if (response.status === 409) {
    blocked = true;
    document.getElementById("conflict").hidden = false;
    document.getElementById("save").hidden = true;
  }
  if (response.status >= 500) saveTimer = setTimeout(() => save(true), TRY_AGAIN_MILLISECONDS);
  say(`${says.refused} ${answer.problem ?? response.status}`, true);
  return answer;
}

function kept(answer, text) {
  form.elements.revision.value = answer.revision;
  stored = answer.text ?? text;
  // What somebody typed while the server worked is nowhere else: it stays, and is saved next.
  answer.isLate = answer.text !== null && editor.text() !== text;
  if (answer.text !== null && !answer.isLate && answer.text !== text) editor.replace(answer.text);
  say(unsaved() ? says.unsaved : answer.saved);
  if (unsaved()) saveTimer = setTimeout(() => save(true), SAVE_AFTER_MILLISECONDS);
  return answer;
}

function changed() {
  const text = editor.text();
  at = headingsAbove(text);
  clearTimeout(checkTimer);
  checkTimer = setTimeout(look, CHECK_AFTER_MILLISECONDS);
  if (blocked) return;
  clearTimeout(saveTimer);
  if (!unsaved()) return;
  if (!saving) say(says.unsaved);
  saveTimer = setTimeout(() => save(true), SAVE_AFTER_MILLISECONDS);
}

// Entries: what their buttons do to the text is done by the server, to the text as it is here.

async function arrange(button) {
  const arranged = document.getElementById("arranged");
  const [verb, number] = button.value.split(" ");
  button.disabled = true;
  if (saving) await saving;
  saving = keep("/entries", { do: button.value });
  const answer = await saving;
  saving = null;
  button.disabled = false;
  if (!answer) return;
  arranged.textContent = answer.isLate ? says.late : answer.problem || answer.said || "";
  arranged.className = answer.revision && !answer.isLate ? "hint" : "problem";
  if (!answer.revision || answer.isLate) return;
  if (verb === "add" || verb === "bare") document.getElementById("url").value = "";
  clearTimeout(checkTimer);
  await look();
  const moved = Number(number) + { up: -1, down: 1 }[verb];
  const again = [`${verb} ${moved}`, `${verb === "up" ? "down" : "up"} ${moved}`];
  const next = again.map((value) => document.querySelector(`#places [value="${value}"]:enabled`));
  if (verb === "section") next.unshift(document.getElementById("moved"));
  (next.find(Boolean) ?? document.querySelector("#entries summary")).focus();
}

form.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.name === "do") {
    event.preventDefault();
    arrange(button);
  } else if (button?.id === "save" || !button) {
    event.preventDefault();
    save(false);
  } else {
    stored = editor.text(); // on its way to the page that compares the two texts
  }
});

document.getElementById("url")?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  form.querySelector('[name="do"][value="add"]').click();
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
    event.preventDefault();
    if (!readOnly) save(false);
  }
});

document.addEventListener("click", (event) => {
  const line = event.target.closest("[data-goto]");
  const picture = event.target.closest("[data-insert]");
  if (line) {
    event.preventDefault();
    show("write");
    editor.goto(Number(line.dataset.goto));
  } else if (picture) {
    editor.insert(`\n${picture.dataset.insert}\n`);
  }
});

window.addEventListener("beforeunload", (event) => {
  if (unsaved()) event.preventDefault();
});

// Pictures come without leaving the page.

document.getElementById("pictures")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const upload = event.target;
  const button = upload.querySelector("button");
  button.disabled = true;
  try {
    const response = await ask("/images", new FormData(upload));
    const made = document.createElement("template");
    made.innerHTML = await response.text();
    const list = made.content.querySelector("#picture-list");
    document.getElementById("picture-list").replaceWith(list ?? made.content);
  } catch {
    say(says.lost, true);
  } finally {
    button.disabled = false;
  }
});

desk.classList.add("scripted");
show("write");
editor = edit(field, { onChange: changed, label: says.label });
// What scrolls can be reached by keyboard, also where nothing can be typed.
editor.dom.querySelector(".cm-content").tabIndex = 0;
mark();
if (stored === null) changed();
else if (document.readyState === "complete") checkPictures();
else window.addEventListener("load", checkPictures);
