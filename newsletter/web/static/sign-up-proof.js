// Over a soft limit: let a worker find the proof of work, then show the button. Nothing is sent
// before somebody presses it. Without this script the page says to try again later; what else is
// to be said waits in it, in the visitor's language.
const status = document.getElementById("proof");
const [working, done, shown] = status.children;
const challenge = JSON.parse(status.dataset.challenge);

function say(sentence) {
  shown.textContent = sentence;
}

function finish(solution) {
  if (!solution || solution.error) return;
  document.getElementById("altcha").value = btoa(JSON.stringify({ challenge, solution }));
  document.getElementById("send").hidden = false;
  say(done.textContent);
}

if (window.isSecureContext && window.Worker) {
  const later = shown.textContent;
  const worker = new Worker("/static/altcha/pbkdf2.js");
  worker.onmessage = (event) => {
    worker.terminate();
    finish(event.data);
  };
  worker.onerror = () => say(later);
  say(working.textContent);
  worker.postMessage({ type: "work", challenge });
}
