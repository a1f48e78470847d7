// The rows of a suite: looked up for the panels, listed and copied as CSV.

class Rows {
  constructor(columns) {
    this.columns = columns;
    this.count = columns.value.length;
    this.index = new Map();
    for (let i = 0; i < this.count; i++) {
      const key = [this.text("axis", i), this.text("metric", i), this.text("parameter", i)].join("|");
      if (!this.index.has(key)) this.index.set(key, []);
      this.index.get(key).push(i);
    }
  }

  text(column, i) {
    return this.columns[column].levels[this.columns[column].codes[i]];
  }

  number(column, i) {
    return this.columns[column][i] ?? NaN;
  }

  find(axis, metric, parameter) {
    const all = this.index.get([axis, metric, parameter].join("|")) || [];
    return all.filter((i) => this.columns.value[i] !== null);
  }

  // The chosen parameter if the metric has it, else the only one it has, else null.
  parameterOf(axis, metric, chosen) {
    if (this.find(axis, metric, chosen).length) return chosen;
    const others = this.columns.parameter.levels.filter((p) => this.find(axis, metric, p).length);
    return others.length === 1 ? others[0] : null;
  }

  // Bins of an axis in order: key, label.
  bins(axis) {
    const found = new Map();
    for (let i = 0; i < this.count; i++) {
      if (this.text("axis", i) !== axis || this.text("metric", i) === "failed") continue;
      const key = this.binKey(i);
      if (!found.has(key)) found.set(key, { key, low: this.columns.low[i], label: this.binLabel(i), at: found.size });
    }
    return [...found.values()].sort((a, b) => (a.low ?? 0) - (b.low ?? 0) || a.at - b.at);
  }

  binKey(i) {
    return this.columns.low[i] === null ? this.text("bin", i) : `${this.columns.low[i]}|${this.columns.high[i]}`;
  }

  binLabel(i) {
    const [low, high] = [this.columns.low[i], this.columns.high[i]];
    return low === null || high === null || low === high ? this.text("bin", i) : `${low}–${high}`;
  }

  cell(column, i) {
    const values = this.columns[column];
    return Array.isArray(values) ? (values[i] ?? "") : this.text(column, i);
  }

  csv(chosen) {
    const names = Object.keys(this.columns);
    const quoted = (value) => (/[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
    const lines = chosen.map((i) => names.map((name) => quoted(this.cell(name, i))).join(","));
    return [names.join(","), ...lines].join("\n") + "\n";
  }
}

const LISTED = ["backend", "parameter", "axis", "bin", "metric", "value", "error", "n", "unit", "direction", "reason"];
const FILTERS = ["backend", "parameter", "axis", "metric"];
const AT_ONCE = 100;

class RowList {
  constructor(element, rows) {
    this.rows = rows;
    this.most = AT_ONCE;
    this.table = element.querySelector("table");
    this.copy = element.querySelector("[data-do=copy]");
    this.more = element.querySelector("[data-do=more]");
    this.filters = FILTERS.map((name) => [name, element.querySelector(`[data-filter=${name}]`)]);
    for (const [name, select] of this.filters) {
      const levels = [...rows.columns[name].levels].sort();
      fillSelect(select, [["*", `any ${name}`], ...levels.map((level) => [level, level || "(none)"])]);
      select.addEventListener("change", () => this.show(AT_ONCE));
    }
    this.more.addEventListener("click", () => this.show(this.most * 5));
    this.copy.addEventListener("click", () => this.copied());
    this.show(AT_ONCE);
  }

  chosen() {
    const fits = (i) => this.filters.every(([name, s]) => s.value === "*" || this.rows.text(name, i) === s.value);
    return Array.from({ length: this.rows.count }, (_, i) => i).filter(fits);
  }

  show(most) {
    this.most = most;
    const chosen = this.chosen();
    const head = make("tr");
    head.append(...LISTED.map((name) => make("th", name)));
    const lines = chosen.slice(0, most).map((i) => {
      const line = make("tr");
      line.append(...LISTED.map((name) => make("td", this.shown(name, i))));
      return line;
    });
    this.table.replaceChildren(head, ...lines);
    this.more.hidden = chosen.length <= most;
    this.copy.textContent = `Copy ${chosen.length.toLocaleString("en")} rows as CSV`;
  }

  shown(name, i) {
    const value = this.rows.cell(name, i);
    if (typeof value !== "number") return value;
    return name === "value" ? fmt(value, this.rows.number("error", i)) : name === "n" ? value : fmt(value, value);
  }

  async copied() {
    const text = this.rows.csv(this.chosen());
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      const area = document.body.appendChild(make("textarea", text, { class: "offscreen" }));
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    this.copy.textContent = done ? "Copied" : "The browser does not allow copying";
  }
}
