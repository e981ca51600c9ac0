// The live page says when its stream is lost, and when it is back.

const live = document.getElementById("live");
const lost = document.getElementById("connection");

live?.addEventListener("htmx:sseError", () => { lost.hidden = false; });
live?.addEventListener("htmx:sseOpen", () => { lost.hidden = true; });
live?.addEventListener("htmx:sseClose", () => { lost.hidden = true; });
