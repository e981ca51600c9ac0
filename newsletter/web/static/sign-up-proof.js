// Over a soft limit: let a worker find the proof of work, then show the button. Nothing is sent
// before somebody presses it. Without this script the page says to try again later.
const status = document.getElementById("proof");
const challenge = JSON.parse(status.dataset.challenge);

function say(sentence) {
  status.firstElementChild.textContent = sentence;
}

function finish(solution) {
  if (!solution || solution.error) return;
  document.getElementById("altcha").value = btoa(JSON.stringify({ challenge, solution }));
  document.getElementById("send").hidden = false;
  say("Thank you for waiting. Please press the button once more.");
}

if (window.isSecureContext && window.Worker) {
  const later = status.textContent;
  const worker = new Worker("/static/altcha/pbkdf2.js");
  worker.onmessage = (event) => {
    worker.terminate();
    finish(event.data);
  };
  worker.onerror = () => say(later);
  say("Very many have signed up from where you are. Your browser has something to compute; a few seconds, please.");
  worker.postMessage({ type: "work", challenge });
}
