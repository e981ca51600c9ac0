// On small screens one side of the editor at a time: the text or the preview.

const desk = document.getElementById("desk");
const sides = [...desk.querySelectorAll(".sides [role='tab']")];

export function show(side) {
  desk.dataset.side = side;
  for (const tab of sides) {
    const chosen = tab.id === `side-${side}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
}

for (const tab of sides) {
  tab.addEventListener("click", () => show(tab.id.replace("side-", "")));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = sides.find((each) => each !== tab);
    other.focus();
    other.click();
  });
}

desk.querySelector(".sides").hidden = false;
