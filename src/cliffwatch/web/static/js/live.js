// Live events: rows come as server-sent events; they can be held back, and filtered by type, outcome and text.
const MOST_ROWS = 500;

export function watchLive() {
  for (const section of document.querySelectorAll("[data-live]:not([data-live-on])")) {
    section.dataset.liveOn = "yes";
    new Live(section);
  }
}

class Live {
  constructor(section) {
    this.section = section;
    this.rows = section.querySelector("[data-live-rows]");
    this.empty = section.querySelector("[data-live-empty]");
    this.form = section.querySelector("[data-live-filter]");
    this.button = section.querySelector("[data-live-pause]");
    this.label = section.querySelector("[data-live-label]");
    this.held = [];
    this.paused = false;
    this.button.addEventListener("click", () => this.toggle());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.restart();
    });
    this.form.addEventListener("change", () => this.restart());
    this.form.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.restart(), 300);
    });
    window.addEventListener("pagehide", () => this.source?.close());
    this.open(this.rows.querySelector("tr")?.dataset.sequence ?? 0);
  }

  open(after) {
    const query = new URLSearchParams(new FormData(this.form));
    query.delete("tab");
    query.set("after", after);
    this.source?.close();
    this.source = new EventSource(`${this.section.dataset.live}?${query}`);
    this.source.addEventListener("message", (event) => event.data && this.take(event.data));
  }

  restart() {
    const asked = new URLSearchParams(new FormData(this.form)).toString();
    if (asked === this.asked) return;
    this.asked = asked;
    this.rows.replaceChildren();
    this.held = [];
    this.say();
    this.empty.hidden = false;
    history.replaceState(null, "", `?${asked}`);
    this.open(0);
  }

  take(html) {
    if (this.paused) {
      this.held.push(html);
      if (this.held.length > MOST_ROWS) this.held.shift();
      return this.say();
    }
    this.show(html);
  }

  show(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const fresh = [...holder.content.querySelectorAll("tr")];
    this.rows.prepend(...fresh);
    for (const row of fresh) window.htmx?.process(row);
    while (this.rows.children.length > MOST_ROWS) this.rows.lastElementChild.remove();
    this.empty.hidden = this.rows.children.length > 0;
  }

  toggle() {
    this.paused = !this.paused;
    this.button.setAttribute("aria-pressed", String(this.paused));
    if (!this.paused) for (const html of this.held.splice(0)) this.show(html);
    this.say();
  }

  say() {
    const waiting = this.held.reduce((sum, html) => sum + html.split("<tr ").length - 1, 0);
    this.label.textContent = this.paused ? (waiting ? `Go on (${waiting} new)` : "Go on") : "Pause";
    this.button.querySelector("[data-live-stop]").hidden = this.paused;
    this.button.querySelector("[data-live-go]").hidden = !this.paused;
  }
}
