"use strict";
// Beside each number stands a slider; and what changes by itself is looked at again while somebody sees it.
for (const number of document.querySelectorAll("input[data-max]")) {
  const slider = document.createElement("input");
  slider.type = "range";
  for (const bound of ["min", "max", "step"]) slider[bound] = number.dataset[bound];
  slider.setAttribute("aria-label", `${number.labels[0].textContent}, slider`);
  const follow = () => {
    const value = Number.parseFloat((number.value || number.placeholder).replace(",", "."));
    slider.value = Number.isNaN(value) ? slider.max : value; // no limit is more than any
  };
  follow();
  number.addEventListener("input", follow);
  slider.addEventListener("input", () => { number.value = slider.value; });
  number.before(slider);
  number.parentElement.classList.add("slid");
}

const live = document.getElementById("live");
let shown = null;
async function look() {
  if (document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch("live", { cache: "no-store" });
    if (!answer.ok) return;
    const text = await answer.text();
    if (text !== shown && !live.contains(document.activeElement)) live.innerHTML = text;
    shown = text;
  } catch {
    live.querySelector(".sentence").textContent = "This page's command has ended: start `dockercomp-worker page` again.";
  }
}
setInterval(look, 2000);
document.addEventListener("visibilitychange", look);
