// What every page can do: copy, open and close dialogs, confirm, tabs, repeated rows, combo boxes, charts.
// Everything is delegated from the document, so that what htmx swaps in works as well.
import { enhanceCombos } from "./combobox.js";
import { watchLive } from "./live.js";
import { addRow, removeRow } from "./repeat.js";
import { drawCharts } from "./chart.js";
import { watchTriage } from "./triage.js";

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (!target) return;
  const button = target.closest("button, a");

  if (button?.matches("[data-copy], [data-copy-text]")) return copy(button);
  if (button?.matches("[data-open]")) {
    button.closest("details.menu")?.removeAttribute("open");
    return document.querySelector(button.dataset.open)?.showModal();
  }
  if (button?.matches("[data-print]")) {
    button.closest("details.menu")?.removeAttribute("open");
    return window.print();
  }
  if (button?.matches("[data-close]")) return button.closest("dialog")?.close();
  if (button?.matches("[data-dismiss]")) return button.closest("[data-flash]")?.remove();
  if (button?.matches("[data-add]")) return addRow(button);
  if (button?.matches("[data-remove]")) return removeRow(button);
  if (button?.matches('[role="tab"]')) return selectTab(button);
  if (button?.matches("[data-confirm]") && !button.dataset.confirmed) {
    event.preventDefault();
    return confirmFirst(button);
  }
  if (target instanceof HTMLDialogElement) target.close(); // a click on the backdrop
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary")?.focus();
    }
  }
  const tab = event.target instanceof Element ? event.target.closest('[role="tab"]') : null;
  if (tab && ["ArrowRight", "ArrowLeft", "Home", "End"].includes(event.key)) {
    const tabs = [...tab.closest('[role="tablist"]').querySelectorAll('[role="tab"]')];
    const at = tabs.indexOf(tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    event.preventDefault();
    selectTab(tabs[(to + tabs.length) % tabs.length]);
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches?.("[data-submit]")) event.target.form.requestSubmit();
});

function selectTab(tab) {
  for (const other of tab.closest('[role="tablist"]').querySelectorAll('[role="tab"]')) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  tab.focus();
}

async function copy(button) {
  const text = button.dataset.copyText ?? document.querySelector(button.dataset.copy)?.textContent ?? "";
  const label = button.querySelector("[data-copy-label]");
  const before = label.textContent;
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyTheOldWay(text); // pages over plain HTTP have no clipboard
    label.textContent = "Copied";
  } catch {
    label.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (label.textContent = before), 1600);
}

function copyTheOldWay(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function confirmFirst(button) {
  const dialog = document.createElement("dialog");
  dialog.className = "modal";
  dialog.setAttribute("aria-label", button.textContent.trim());
  const form = document.createElement("form");
  form.method = "dialog";
  const text = document.createElement("p");
  text.textContent = button.dataset.confirm;
  const actions = document.createElement("div");
  actions.className = "actions";
  const no = Object.assign(document.createElement("button"), { className: "btn", textContent: "Cancel", value: "" });
  const yes = Object.assign(document.createElement("button"), {
    className: "btn danger solid",
    textContent: button.textContent.trim(),
    value: "yes",
  });
  actions.append(no, yes);
  form.append(text, actions);
  dialog.append(form);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.returnValue !== "yes") return button.focus();
    button.dataset.confirmed = "yes";
    button.click();
  });
  document.body.append(dialog);
  dialog.showModal();
}

// The time zone of the person who sets Cliffwatch up is a good first guess for the workspace's.
const zone = document.querySelector("select[data-detect-zone]");
if (zone) {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...zone.options].some((option) => option.value === here)) zone.value = here;
  const country = document.getElementById("country");
  const follow = () => {
    country.value = zone.selectedOptions[0]?.dataset.country ?? "";
  };
  country.addEventListener("change", () => zone.removeEventListener("change", follow));
  zone.addEventListener("change", follow);
  follow();
}

// On a narrow screen the tab that is open may be out of sight.
for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  const tabs = tab.parentElement;
  tabs.scrollLeft += tab.getBoundingClientRect().left - tabs.getBoundingClientRect().left - 16;
}

for (const flash of document.querySelectorAll("[data-flash]")) {
  if (flash.getAttribute("role") === "status") setTimeout(() => flash.remove(), 6000);
}
(document.getElementById("problems") ?? document.querySelector('[aria-invalid="true"]'))?.focus();

function enhance() {
  enhanceCombos();
  drawCharts();
  watchLive();
  watchTriage();
  for (const heat of document.querySelectorAll(".heat-wrap")) heat.scrollLeft = heat.scrollWidth; // now is at the right
}
document.addEventListener("htmx:after:swap", enhance);
document.addEventListener("htmx:after:settle", enhance);
if (document.readyState === "complete") enhance();
else window.addEventListener("load", enhance);
