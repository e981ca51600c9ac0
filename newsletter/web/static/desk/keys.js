// Keyboard shortcuts: whatever has `data-key` is clicked by its keys; `?` shows them all.
// Two keys, such as "g i", are pressed one after the other within a second and a half.
// Nothing happens while somebody types in a field, or for who turned shortcuts off (WCAG 2.1.4).

const SECOND_KEY_MILLISECONDS = 1500;
const sheet = document.getElementById("keys");
const opener = document.getElementById("show-keys");
let first = "";
let timer;

function typing(target) {
  return target.isContentEditable || target.closest?.("input, select, textarea, dialog");
}

function nameOf(element) {
  return element.dataset.keyName || element.getAttribute("aria-label") || element.textContent.trim();
}

function show() {
  const list = sheet.querySelector("dl");
  const row = sheet.querySelector("template").content;
  const seen = new Set();
  list.replaceChildren();
  for (const element of document.querySelectorAll("[data-key]")) {
    if (seen.has(element.dataset.key)) continue;
    seen.add(element.dataset.key);
    const line = row.cloneNode(true);
    line.querySelector("kbd").textContent = element.dataset.key;
    line.querySelector("dd").textContent = nameOf(element);
    list.append(line);
  }
  sheet.showModal();
}

function press(keys) {
  const element = document.querySelector(`[data-key="${CSS.escape(keys)}"]`);
  if (!element) return false;
  element.focus();
  element.click();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (document.body.dataset.withoutKeys) return;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target) || event.key.length !== 1) return;
  const keys = first ? `${first} ${event.key}` : event.key;
  first = "";
  clearTimeout(timer);
  if (keys === "?") show();
  else if (press(keys)) event.preventDefault();
  else if (document.querySelector(`[data-key^="${CSS.escape(event.key)} "]`)) {
    first = event.key;
    timer = setTimeout(() => { first = ""; }, SECOND_KEY_MILLISECONDS);
  }
});

if (opener) {
  opener.hidden = false;
  opener.addEventListener("click", show);
  sheet.querySelector("a").addEventListener("click", () => sheet.close()); // perhaps to this page
  sheet.querySelector(".own")?.removeAttribute("hidden");
}

// On a telephone the rooms are wider than the screen: the one we are in is in sight.
document.querySelector(".nouns [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
