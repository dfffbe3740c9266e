// Triage by keyboard in a list of incidents: move, choose, act. Never inside a field, a menu or a dialog.
const STEPS = { a: "acknowledge", s: "snooze", f: "false-alarm", e: "expected", r: "resolve" };

export function watchTriage() {
  const form = document.querySelector("[data-triage]:not([data-ready])");
  if (!form) return;
  form.dataset.ready = "";
  const links = () => [...form.querySelectorAll("[data-row] a.cover")];
  const at = () => links().indexOf(document.activeElement?.closest("[data-row]")?.querySelector("a.cover"));
  const count = () => {
    const all = form.querySelector("[data-all]:checked");
    const chosen = all ? Number(all.dataset.all).toLocaleString("en") : form.querySelectorAll("[data-choose]:checked").length;
    form.querySelector("[data-bar]").classList.toggle("idle", chosen === 0);
    form.querySelector("[data-count]").textContent = chosen ? `${chosen} chosen` : "None chosen";
  };
  form.addEventListener("change", count);
  count();
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    const typing = target.closest('input:not([type="checkbox"]), textarea, select, [contenteditable], dialog, .menu[open]');
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const here = at();
    if (event.key === "?") {
      event.preventDefault();
      return document.querySelector("#keys").showModal();
    }
    if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      const to = links()[here < 0 ? 0 : here + (event.key === "j" ? 1 : -1)];
      return to?.focus();
    }
    const row = here < 0 ? null : links()[here].closest("[data-row]");
    if (event.key === "x" && row) {
      event.preventDefault();
      const box = row.querySelector("[data-choose]");
      box.checked = !box.checked;
      return count();
    }
    const step = STEPS[event.key];
    if (!step) return;
    if (!form.querySelector("[data-choose]:checked, [data-all]:checked")) {
      if (!row) return;
      row.querySelector("[data-choose]").checked = true;
    }
    event.preventDefault();
    form.requestSubmit(form.querySelector(`button[value="${step}"]`));
  });
}
