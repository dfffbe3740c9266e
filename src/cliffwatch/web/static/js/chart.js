// Time series: actual over the expected band, surprising points and anomalies marked. Reads columns from /streams/{id}/series.json.
// Times are shown in the workspace's zone, whatever the browser's is; colours come from the style sheet, so themes apply.

const charts = new Map();

export function drawCharts() {
  for (const [element, chart] of charts) {
    if (!element.isConnected) {
      chart.destroy();
      charts.delete(element);
    }
  }
  for (const element of document.querySelectorAll("[data-chart]:not([data-ready]), [data-chart-data]:not([data-ready])")) {
    element.dataset.ready = "yes";
    load(element);
  }
}

async function load(element) {
  if (element.dataset.chartData) {
    charts.set(element, new Chart(element, JSON.parse(element.dataset.chartData)));
    return;
  }
  try {
    const answer = await fetch(element.dataset.chart, { headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const chart = new Chart(element, await answer.json());
    charts.set(element, chart);
  } catch {
    element.textContent = "The chart could not be loaded. Reload the page to try again.";
  }
}

class Chart {
  constructor(element, data) {
    this.element = element;
    this.data = data;
    this.format = formats(data.zone, data.unit);
    const key = element.parentElement.querySelector(".key-note");
    if (key) key.parentElement.hidden = !data.events?.length;
    this.draw();
    this.resize = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width && Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: this.height() });
    });
    this.resize.observe(element);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => this.draw();
    this.scheme.addEventListener("change", this.repaint);
  }

  height() {
    return Math.min(Number(this.element.dataset.height), Math.max(220, innerHeight * 0.5));
  }

  draw() {
    this.plot?.destroy();
    this.tip = Object.assign(document.createElement("div"), { className: "chart-tip", hidden: true });
    const { data } = this;
    const flagged = data.actual.map((value, i) => (data.flagged[i] ? value : null));
    this.plot = new window.uPlot(this.options(), [data.start, data.upper, data.lower, data.expected, data.actual, flagged], this.element);
    this.plot.over.append(this.tip);
    if (this.element.dataset.why) this.explainOnClick(this.plot.over);
  }

  // A click (not a drag, which zooms) asks for the explanation of its window.
  explainOnClick(over) {
    let from = 0;
    over.addEventListener("mousedown", (event) => (from = event.clientX));
    over.addEventListener("mouseup", (event) => {
      const at = this.plot.cursor.idx;
      if (at == null || Math.abs(event.clientX - from) > 3) return;
      const address = `${this.element.dataset.why}&at=${this.data.start[at] * 1000}`;
      window.htmx.ajax("GET", address, { target: "#point", swap: "innerHTML" });
    });
  }

  destroy() {
    this.resize.disconnect();
    this.scheme.removeEventListener("change", this.repaint);
    this.plot.destroy();
  }

  options() {
    const colour = colours(this.element);
    const { data, format } = this;
    const dense = data.start.length > 500;
    const axis = { stroke: colour.faint, font: `11px ${colour.font}`, ticks: { show: false }, grid: { stroke: colour.grid, width: 1 } };
    const invisible = { stroke: "transparent", width: 0, points: { show: false } };
    return {
      width: this.element.clientWidth || 600,
      height: this.height(),
      padding: [12, 18, 0, 0],
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), data.zone),
      legend: { show: false },
      scales: { y: { range: (_plot, low, high) => padded(low, high) } },
      axes: [
        { ...axis, space: 76, size: 30, gap: 7, grid: { show: false }, values: format.axis },
        { ...axis, space: 46, size: (_plot, values) => 14 + Math.max(18, ...(values ?? []).map((value) => value.length * 6.4)), values: (_plot, ticks) => format.ticks(ticks) },
      ],
      bands: [{ series: [1, 2], fill: colour.band }],
      series: [
        {},
        invisible,
        invisible,
        { stroke: colour.expected, width: 1.25, dash: [4, 4], points: { show: false } },
        { stroke: colour.series, width: dense ? 1.25 : 1.75, points: { show: false } },
        { stroke: "transparent", width: 0, points: { show: true, size: 8, fill: colour.anomaly, stroke: colour.surface, width: 1.25 } },
      ],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: true } },
      hooks: {
        drawClear: [(plot) => this.shade(plot, colour)],
        draw: [(plot) => this.annotate(plot, colour)],
        setCursor: [(plot) => this.point(plot)],
        setSelect: [(plot) => this.stretch(plot)],
      },
    };
  }

  shade(plot, colour) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = colour.shade;
    for (const anomaly of this.data.anomalies) {
      const left = plot.valToPos(anomaly.start, "x", true);
      const right = plot.valToPos(anomaly.end, "x", true);
      ctx.fillRect(left, bbox.top, Math.max(right - left, 3), bbox.height);
    }
    ctx.restore();
  }

  // What people told: own events as dashed lines with their span on top, labels as strips at the bottom; and, where two
  // settings are compared, the alerts of the current one.
  annotate(plot, colour) {
    const { ctx, bbox } = plot;
    const pixel = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const strip = (one, fill, top, height) => {
      const left = plot.valToPos(one.start, "x", true);
      ctx.fillStyle = fill;
      ctx.fillRect(left, top, Math.max(plot.valToPos(one.end, "x", true) - left, 2 * pixel), height * pixel);
    };
    for (const event of this.data.events ?? []) {
      const left = plot.valToPos(event.start, "x", true);
      ctx.strokeStyle = colour.note;
      ctx.lineWidth = 1.5 * pixel;
      ctx.setLineDash([4 * pixel, 3 * pixel]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      strip(event, colour.note, bbox.top, 4);
    }
    for (const label of this.data.labels ?? []) strip(label, label.anomaly ? colour.anomaly : colour.good, bbox.top + bbox.height - 4 * pixel, 4);
    for (const alert of this.data.current ?? []) strip(alert, colour.expected, bbox.top, 4);
    ctx.restore();
  }

  // What was dragged over fills the form that speaks of a stretch, and goes along with the link that explains one.
  stretch(plot) {
    if (plot.select.width < 2) return;
    const edges = { start: plot.posToVal(plot.select.left, "x"), end: plot.posToVal(plot.select.left + plot.select.width, "x") };
    for (const field of document.querySelectorAll("[data-stretch]")) field.value = this.format.typed(edges[field.dataset.stretch]);
    for (const link of document.querySelectorAll("[data-stretch-link]")) {
      const address = new URL(link.href);
      for (const [name, seconds] of Object.entries(edges)) address.searchParams.set(name, this.format.typed(seconds));
      link.href = address.href;
    }
  }

  point(plot) {
    const { idx, left } = plot.cursor;
    const { data, format, tip } = this;
    tip.hidden = idx == null || left == null || left < 0;
    if (tip.hidden) return;
    const rows = [["Actual", format.value(data.actual[idx])]];
    if (data.expected[idx] != null) {
      rows.push(["Expected", format.value(data.expected[idx])]);
      rows.push(["Usual range", `${format.value(data.lower[idx])} – ${format.value(data.upper[idx])}`]);
    } else rows.push(["Expected", "still learning"]);
    const difference = share(data.actual[idx], data.expected[idx]);
    const title = Object.assign(document.createElement("strong"), { textContent: format.window(data.start[idx], data.end[idx]) });
    tip.replaceChildren(
      title,
      ...rows.map(([name, value]) => line(name, value)),
      ...(data.flagged[idx] ? [line("Anomaly", difference, "bad")] : difference ? [line("Difference", difference)] : []),
      ...(data.events ?? [])
        .filter((event) => event.start < data.end[idx] && event.end > data.start[idx])
        .map((event) => Object.assign(document.createElement("div"), { className: "chart-note", textContent: `${event.kind}: ${event.title}` })),
    );
    const width = tip.offsetWidth;
    tip.style.left = `${left + width + 24 > plot.over.clientWidth ? Math.max(left - width - 14, 0) : left + 14}px`;
    tip.style.top = "8px";
  }
}

function line(name, value, css = "") {
  const row = document.createElement("div");
  row.className = css;
  row.append(
    Object.assign(document.createElement("span"), { textContent: name }),
    Object.assign(document.createElement("span"), { textContent: value }),
  );
  return row;
}

function share(actual, expected) {
  if (actual == null || !expected) return "";
  const percent = (actual / expected - 1) * 100;
  return `${percent > 0 ? "+" : "−"}${Math.abs(percent).toFixed(Math.abs(percent) < 10 ? 1 : 0)} %`;
}

function padded(low, high) {
  if (low == null || high == null) return [0, 1];
  if (low > 0 && low < high * 0.5) low = 0;
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
}

function colours(element) {
  const style = getComputedStyle(element);
  const resolved = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`; // light-dark() resolves only in a property that takes colours
    element.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  return {
    faint: resolved("--text-faint"),
    grid: resolved("--grid"),
    band: resolved("--band"),
    series: resolved("--series"),
    expected: resolved("--expected"),
    surface: resolved("--surface"),
    anomaly: resolved("--anomaly"),
    shade: resolved("--anomaly-shade"),
    note: resolved("--note"),
    good: resolved("--good"),
    font: style.fontFamily,
  };
}

const MONEY = /^[A-Z]{3}$/;

function formats(zone, unit) {
  const percent = unit === "%";
  const money = percent ? { style: "percent" } : MONEY.test(unit) ? { style: "currency", currency: unit, currencyDisplay: "narrowSymbol" } : {};
  const after = unit && !percent && !MONEY.test(unit) ? ` ${unit}` : "";
  const number = (options) => new Intl.NumberFormat("en-US", { ...money, ...options });
  const whole = number({ maximumFractionDigits: 0, minimumFractionDigits: 0 });
  const fine = number({ maximumSignificantDigits: 3 });
  const short = number({ notation: "compact", maximumSignificantDigits: 3 });
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short" });
  const full = new Intl.DateTimeFormat("en-GB", { timeZone: zone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const typed = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "short" }); // 2026-11-24 14:00
  const date = (seconds) => new Date(seconds * 1000);
  return {
    value: (value) => (value == null ? "–" : (!percent && (Math.abs(value) >= 100 || Number.isInteger(value)) ? whole : fine).format(value) + after),
    ticks: (ticks) => {
      const large = Math.max(...ticks.map(Math.abs)) >= 10000;
      const text = (value) => (large ? short : Number.isInteger(value) && !percent ? whole : fine).format(value);
      return ticks.map((value) => text(value).replace("K", "k"));
    },
    typed: (seconds) => typed.format(date(seconds)).replace(" ", "T"),
    window: (start, end) => `${full.format(date(start))} – ${clock.format(date(end))}`,
    axis: (_plot, ticks) => {
      const step = ticks.length > 1 ? ticks[1] - ticks[0] : 0;
      return ticks.map((tick) => {
        const time = clock.format(date(tick));
        return step >= 86400 || time === "00:00" ? day.format(date(tick)) : time;
      });
    },
  };
}
