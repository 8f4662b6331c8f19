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

// Buttons with data-png save the picture they name as a PNG, drawn here at twice its size.
document.body.addEventListener("click", (event) => {
  const button = event.target.closest("[data-png]");
  if (!button) return;
  const picture = document.getElementById(button.dataset.png);
  const canvas = document.createElement("canvas");
  canvas.width = 2 * picture.naturalWidth;
  canvas.height = 2 * picture.naturalHeight;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = button.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
});

// Buttons with data-key are pressed by that key, unless something is being typed.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.target.matches("input, textarea, select")) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (button) button.click();
});
