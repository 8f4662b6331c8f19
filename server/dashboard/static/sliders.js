// Sliders beside their number fields, and forms that are sent as soon as a value is let go. Without this script the
// number fields and the button "Apply" do the same.
"use strict";

{ // names of its own: all scripts of a page share one scope
const worded = (count) => String(Math.round(count * 100) / 100);

// What containers can have each, where `all` is the most of all together: cut down, never up, so that it fits.
const share = (all, containers, step) => {
  const most = all / Math.max(1, containers);
  return step === "any" ? Math.floor(most * 1000 + 1e-6) / 1000 : Math.floor(most + 1e-6);
};

// A slider shows its field's value; a field beyond its slider's end leaves the slider there.
const follow = (slider, field) => { if (slider && field.value !== "") slider.value = field.value; };

const fields = (form) => [...form.querySelectorAll("[data-slider]")].map((row) => ({
  row,
  number: row.querySelector("input[type=number]"),
  slider: row.querySelector("input[type=range]"),
  hint: row.querySelector(".form-text"),
}));

// Ends of the sliders and what is said to be left, by the number of containers. `fitting` also moves values that do not
// fit any more, and moves them back as far as they were wished once they do.
function fit(form, fitting) {
  const all = fields(form);
  const count = all.find((each) => "count" in each.number.dataset);
  if (!count || count.number.value === "") return;
  const containers = Number(count.number.value);
  const possible = containers >= 0 && containers <= Number(count.number.max || Infinity);
  for (const { row, number, slider, hint } of all) {
    follow(slider, number);
    if (!("all" in row.dataset)) continue;
    const most = Number(row.dataset.all), each = share(most, containers, number.step);
    if (!possible) continue;
    number.dataset.wish ??= number.value;
    if (fitting) number.value = Math.max(Number(number.min), Math.min(Number(number.dataset.wish), each));
    slider.max = Math.max(Number(number.min), each);
    follow(slider, number);
    const used = Math.max(1, containers) * Number(number.value);
    const left = most - used;
    const unit = row.querySelector(".slider-unit").textContent;
    hint.textContent = left < -0.001
      ? `${containers} × ${worded(number.value)} ${unit} are ${worded(-left)} over the volunteer's ceiling of ${worded(most)}`
      : `${containers} × ${worded(number.value)} = ${worded(containers ? used : 0)} of ${worded(most)} ${unit}, ${worded(containers ? left : most)} left`;
  }
}

document.body.addEventListener("input", (event) => {
  const form = event.target.closest("form");
  if (!form) return;
  if (event.target.type === "range" && event.target.dataset.of) {
    const number = document.getElementById(event.target.dataset.of);
    const atItsEnd = Number(event.target.value) + Number(event.target.step) > Number(event.target.max);
    number.value = atItsEnd ? event.target.max : event.target.value;
    number.dataset.wish = number.value;
  } else if (event.target.type === "number") {
    event.target.dataset.wish = event.target.value;
  }
  form.dataset.moved = "";
  const row = event.target.closest("[data-slider]");
  if (row) fit(form, "count" in row.querySelector("input[type=number]").dataset);
});

for (const form of document.querySelectorAll("form.sliders")) fit(form, false);

// --- forms that are sent by themselves ------------------------------------------------------------------------------

const sends = (event) => (event.detail.elt && event.detail.elt.matches("form[data-send]") ? event.detail.elt : null);

// Once: letting go of a value, pressing Enter and leaving the field all ask for it.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  const form = sends(event);
  if (form && !("moved" in form.dataset)) event.preventDefault();
  else if (form) delete form.dataset.moved;
});
document.addEventListener("click", (event) => {
  const again = event.target.closest("form[data-send] button");
  if (again) again.closest("form").dataset.moved = "";
}, true);

// A value that is refused is answered like any other: with what is wrong, beside the form.
document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (sends({ detail: { elt: event.detail.requestConfig.elt } }) && [412, 422].includes(event.detail.xhr.status)) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  const form = sends(event);
  if (!form) return;
  const { status } = event.detail.xhr;
  if (![200, 412, 422].includes(status)) {
    const unsent = form.querySelector("[data-unsent]");
    unsent.hidden = false;
    unsent.textContent = status
      ? `This was not carried out: the master answered ${status}. Load the page again.`
      : "This was not carried out: the master does not answer. Move it again once it is back.";
  }
  for (const error of form.querySelectorAll(".field-error")) {
    const field = document.getElementById(error.id.replace(/-error$/, ""));
    if (!field) continue;
    field.setAttribute("aria-invalid", error.textContent.trim() ? "true" : "false");
    field.classList.toggle("is-invalid", Boolean(error.textContent.trim()));
  }
  const version = form.querySelector("[data-version]");
  if (status === 200) delete form.dataset.kept;
  else form.dataset.kept = "";
  if (version) for (const each of document.querySelectorAll("[data-version]")) each.value = version.value;
});

// What somebody else gave meanwhile is shown in a form that nobody has touched; one that was touched keeps what it has.
document.body.addEventListener("htmx:afterSwap", () => {
  const form = document.querySelector("form[data-send]"), source = document.querySelector("[data-given]");
  if (!form || !source || "moved" in form.dataset || "kept" in form.dataset) return;
  const given = JSON.parse(source.dataset.given);
  const version = form.querySelector("[data-version]");
  if (!version || Number(version.value) >= Number(given.version)) return;
  for (const [name, value] of Object.entries(given)) {
    const field = form.elements[name];
    if (!field) continue;
    if (field.type === "checkbox") field.checked = value;
    else field.value = value;
    delete field.dataset.wish;
  }
  for (const each of document.querySelectorAll("[data-version]")) each.value = given.version;
  fit(form, false);
});
}
