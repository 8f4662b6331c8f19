// What htmx does not do by itself. The pages work without it.
"use strict";

// A page in the background asks for nothing.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

// Say when what is shown may be old.
const offline = document.getElementById("offline");
const connected = (yes) => () => { offline.hidden = yes; };
document.body.addEventListener("htmx:sendError", connected(false));
document.body.addEventListener("htmx:timeout", connected(false));
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.xhr && event.detail.xhr.status) offline.hidden = event.detail.xhr.status < 500;
});

// Buttons with data-copy copy the text field they name.
document.body.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  source.select();
  try {
    await navigator.clipboard.writeText(source.value);
  } catch {
    document.execCommand("copy"); // plain HTTP beyond this machine has no clipboard
  }
  document.getElementById(`${button.dataset.copy}-copied`).textContent = "Copied";
});
