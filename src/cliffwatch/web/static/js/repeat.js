// Rows that a person can add to and remove from: events, dimensions, measures.
import { enhanceCombos } from "./combobox.js";

let made = 0;

export function addRow(button) {
  const group = button.closest("[data-repeat]");
  const list = group.querySelector("[data-repeat-list]");
  const row = group.querySelector(":scope > template").content.firstElementChild.cloneNode(true);
  list.append(row);
  for (const field of row.querySelectorAll("[id]")) field.id = `${field.id}-new-${(made += 1)}`;
  number(list);
  enhanceCombos();
  row.querySelector("input:not([type=hidden]), select").focus();
}

export function removeRow(button) {
  const row = button.closest(".repeat-item");
  const list = row.parentElement;
  const group = row.closest("[data-repeat]");
  if (list.children.length === 1) {
    for (const input of row.querySelectorAll("input")) input.value = "";
    row.querySelector("input, select").focus();
    return changed(group);
  }
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  number(list);
  changed(group);
  (next?.querySelector("input, select") ?? group.querySelector("[data-add]")).focus();
}

// What listens to the form, such as the preview, hears of a removed row as of any other change.
function changed(group) {
  group.dispatchEvent(new Event("change", { bubbles: true }));
}

// "Remove event 3" must be the third row's button, whatever was added or removed before.
function number(list) {
  [...list.children].forEach((row, index) => {
    for (const named of row.querySelectorAll("[aria-label]")) {
      named.setAttribute("aria-label", named.getAttribute("aria-label").replace(/\d+$/, String(index + 1)));
    }
    const legend = row.querySelector("legend");
    if (legend) legend.textContent = legend.textContent.replace(/\d+/, String(index + 1));
  });
}
