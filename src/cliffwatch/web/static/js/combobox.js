// A text field with suggestions from the event catalogue. Free text stays allowed.
// Keyboard: Down and Up move, Enter takes, Escape closes, Tab goes on (ARIA combobox pattern, list autocomplete).

let ids = 0;

export function enhanceCombos() {
  for (const combo of document.querySelectorAll("[data-combo]:not([data-ready])")) {
    combo.dataset.ready = "yes";
    new Combo(combo);
  }
}

class Combo {
  constructor(root) {
    this.root = root;
    this.input = root.querySelector("input");
    this.list = document.createElement("ul");
    this.list.id = `suggestions-${(ids += 1)}`;
    this.list.className = "combo-list";
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", "Suggestions");
    this.list.hidden = true;
    root.append(this.list);
    this.input.setAttribute("role", "combobox");
    this.input.setAttribute("aria-autocomplete", "list");
    this.input.setAttribute("aria-expanded", "false");
    this.input.setAttribute("aria-controls", this.list.id);
    this.at = -1;
    this.asked = 0;
    this.input.addEventListener("input", () => this.ask());
    this.input.addEventListener("focus", () => this.ask(120));
    this.input.addEventListener("blur", () => this.close());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // keeps the focus in the field
      const option = event.target.closest("li");
      if (option) this.take(option);
    });
  }

  ask(delay = 140) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(), delay);
  }

  async fetch() {
    const form = this.input.form;
    const query = new URLSearchParams({ field: this.root.dataset.combo, q: this.input.value.trim() });
    const fields = new FormData(form);
    for (const name of ["source", "type", "event"]) {
      for (const value of fields.getAll(name)) if (value) query.append(name, value);
    }
    if (this.root.dataset.combo === "value") query.set("path", this.root.closest(".row").querySelector('[name="f_path"]').value.trim());
    const turn = (this.asked += 1);
    const answer = await fetch(`${form.dataset.suggest}?${query}`, { headers: { accept: "application/json" } }).catch(() => null);
    if (!answer?.ok || turn !== this.asked || document.activeElement !== this.input) return;
    this.show(await answer.json());
  }

  show(suggestions) {
    const typed = this.input.value.trim();
    const own = suggestions.length === 1 && suggestions[0].value === typed;
    this.list.replaceChildren(
      ...suggestions.map(({ value, detail }, index) => {
        const option = document.createElement("li");
        option.id = `${this.list.id}-${index}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.dataset.value = value;
        const text = Object.assign(document.createElement("span"), { className: "value", textContent: value });
        const more = Object.assign(document.createElement("span"), { className: "detail", textContent: detail });
        option.append(text, more);
        return option;
      }),
    );
    this.at = -1;
    if (suggestions.length === 0 || own) return this.close();
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
  }

  close() {
    clearTimeout(this.timer);
    this.asked += 1;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.at = -1;
  }

  key(event) {
    const open = !this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return this.ask(0);
      const count = this.list.children.length;
      this.move((this.at + (event.key === "ArrowDown" ? 1 : -1) + count + (this.at < 0 && event.key === "ArrowUp" ? 1 : 0)) % count);
    } else if (event.key === "Enter" && open && this.at >= 0) {
      event.preventDefault();
      this.take(this.list.children[this.at]);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }

  move(to) {
    this.list.children[this.at]?.setAttribute("aria-selected", "false");
    this.at = to;
    const option = this.list.children[to];
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", option.id);
  }

  take(option) {
    this.input.value = option.dataset.value;
    this.close();
    this.input.dispatchEvent(new Event("change", { bubbles: true }));
  }
}
