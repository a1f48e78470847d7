// Panels: curves of the backends along what the reader chooses.

const SHARES = ["success", "success_0.01", "success_abs_0.01", "retention", "outliers", "flagged"];

class Panels {
  constructor(section, rows, backends, bokeh) {
    Object.assign(this, { section, rows, backends, bokeh });
    this.panels = [...section.querySelectorAll(".panel")];
    for (const select of section.querySelectorAll(".controls select, .panel select")) {
      select.addEventListener("change", () => this.refresh());
    }
    this.refresh();
  }

  control(name) {
    return this.section.querySelector(`.controls [data-control=${name}]`)?.value ?? "all";
  }

  refresh() {
    for (const panel of this.panels) this.fill(panel);
  }

  fill(panel) {
    const { panel: key, kind } = panel.dataset;
    const plot = this.bokeh.get_model_by_name(key);
    const metric = panel.querySelector("[data-choice=metric]")?.value ?? panel.dataset.metric;
    const drawn = this[kind](panel, metric);
    this.caption(panel, metric, drawn);
    const all = [];
    for (const backend of this.backends) {
      const shown = !report.hidden.has(backend);
      const points = drawn.curves.get(backend) ?? [];
      if (shown) all.push(...points);
      const seen = panel.dataset.log ? points.map(aboveZero) : points;
      this.bokeh.get_model_by_name(`${key}:${backend}`).data = columnsOf(seen, backend);
      for (const part of [...plot.renderers, ...plot.center]) {
        if (part.tags.includes(backend)) part.visible = shown;
      }
    }
    panel.classList.toggle("nothing", all.length === 0);
    if (all.length) this.scale(plot, panel, metric, drawn, all);
  }

  caption(panel, metric, drawn) {
    const known = report.metrics[metric];
    const name = drawn.parameter ? report.parameters[drawn.parameter] ?? drawn.parameter : "";
    const target = drawn.direction.startsWith("target:") ? drawn.direction.slice("target:".length) : null;
    const way = { higher: "higher is better", lower: "lower is better" }[drawn.direction] ?? (target && `${target} is right`);
    if (panel.dataset.kind === "binned") {
      const line = this.bokeh.get_model_by_name(`${panel.dataset.panel}:target`);
      line.visible = target !== null;
      line.location = Number(target ?? 0);
    }
    panel.querySelector(".meaning").textContent = [name, known?.meaning, way].filter(Boolean).join("; ");
  }

  // Points of each backend at the rows' places: place(i) gives x and words.
  curves(found, place, value = (v) => v) {
    const curves = new Map();
    for (const i of found) {
      const at = place(i);
      const name = this.rows.text("backend", i);
      const [y, error, n] = ["value", "error", "n"].map((column) => this.rows.number(column, i));
      const half = Number.isFinite(error) ? error : 0;
      const told = withError(y, error) + (n > 0 ? ` (n = ${n.toLocaleString("en")})` : "");
      const point = { x: at.x, y: value(y, at), low: value(y - half, at), high: value(y + half, at), told };
      if (!curves.has(name)) curves.set(name, []);
      curves.get(name).push({ ...point, where: at.where });
    }
    for (const points of curves.values()) points.sort((a, b) => a.x - b.x);
    return curves;
  }

  drawn(found, place, more) {
    const direction = found.length ? this.rows.text("direction", found[0]) : "";
    return { curves: this.curves(found, place, more.value), direction, ...more };
  }

  dodge(i) {
    const n = this.backends.length;
    return (this.backends.indexOf(this.rows.text("backend", i)) - (n - 1) / 2) * Math.min(0.09, 0.6 / n);
  }

  binned(panel, metric) {
    const axis = this.control("axis");
    const bins = this.rows.bins(axis);
    const parameter = this.rows.parameterOf(axis, metric, this.control("parameter"));
    const order = new Map(bins.map((bin, k) => [bin.key, k]));
    const place = (i) => {
      const k = order.get(this.rows.binKey(i));
      return { x: k + this.dodge(i), where: bins[k].label };
    };
    const found = parameter === null ? [] : this.rows.find(axis, metric, parameter);
    return this.drawn(found, place, { parameter, ticks: bins.map((bin) => bin.label), x: report.axes[axis] ?? axis });
  }

  level(panel) {
    const parameter = this.control("parameter");
    const levels = [50, 68, 90, 95].filter((l) => this.rows.find("all", `coverage_${l}`, parameter).length);
    const found = levels.flatMap((level) => this.rows.find("all", `coverage_${level}`, parameter));
    const place = (i) => {
      const level = Number(this.rows.text("metric", i).slice("coverage_".length));
      return { x: levels.indexOf(level) + this.dodge(i), where: `${level} % interval`, level };
    };
    const value = (y, at) => 100 * y - at.level;
    const more = { parameter, ticks: levels.map((l) => `${l} %`), x: "stated interval", value };
    return { ...this.drawn(found, place, more), direction: "" };
  }

  pit(panel, metric) {
    const parameter = this.control("parameter");
    const place = (i) => {
      const [low, high] = [this.rows.number("low", i), this.rows.number("high", i)];
      return { x: (low + high) / 2, where: `${fmt(low)}–${fmt(high)}` };
    };
    return this.drawn(this.rows.find("level", metric, parameter), place, { parameter, x: "PIT" });
  }

  retention(panel, metric) {
    const parameter = this.rows.parameterOf("retention", metric, this.control("parameter"));
    const place = (i) => {
      const share = this.rows.number("low", i);
      return { x: share, where: `${fmt(100 * share, 1)} % kept` };
    };
    const found = parameter === null ? [] : this.rows.find("retention", metric, parameter);
    return this.drawn(found, place, { parameter, x: "share kept" });
  }

  batch(panel, metric) {
    const axis = panel.querySelector("[data-choice=axis]")?.value ?? panel.dataset.axis;
    const parameter = this.rows.parameterOf(axis, metric, "");
    const place = (i) => {
      const low = this.rows.number("low", i);
      const size = Number.isFinite(low) ? low : Number.parseFloat(this.rows.text("bin", i));
      return { x: size, where: `batch of ${size}` };
    };
    const found = parameter === null ? [] : this.rows.find(axis, metric, parameter);
    return this.drawn(found, place, { parameter: "", x: report.axes.batch });
  }

  scale(plot, panel, metric, drawn, points) {
    const { kind, log } = panel.dataset;
    const finite = points.flatMap((p) => [p.low, p.y, p.high]).filter(Number.isFinite);
    plot.below[0].axis_label = drawn.x;
    if (drawn.ticks) ticksOfBins(plot, drawn.ticks);
    if (kind === "batch") {
      const sizes = points.map((p) => p.x);
      Object.assign(plot.x_range, { start: Math.min(...sizes) / 1.5, end: Math.max(...sizes) * 1.5 });
      setTicks(plot.below[0], [...new Set(sizes)]);
    }
    if (log) logRange(plot, finite.filter((v) => v > 0));
    else Object.assign(plot.y_range, linearRange(kind, metric, finite));
  }
}

// On a logarithmic axis an error that reaches zero is drawn to far below the panel's edge.
function aboveZero(point) {
  return point.low > 0 ? point : { ...point, low: 1e-6 * point.y };
}

function columnsOf(points, backend) {
  const column = (name) => points.map((point) => point[name]);
  const names = ["x", "y", "low", "high", "where", "told"];
  return { ...Object.fromEntries(names.map((name) => [name, column(name)])), who: points.map(() => backend) };
}

function linearRange(kind, metric, values) {
  let [start, end] = [Math.min(...values), Math.max(...values)];
  if (kind === "level") [start, end] = [Math.min(start, -2), Math.max(end, 2)];
  if (kind === "pit") [start, end] = [0, Math.max(end, 1.5)];
  if (metric === "pull_width") [start, end] = [Math.min(start, 0.8), Math.max(end, 1.2)];
  const pad = 0.07 * (end - start || Math.abs(end) || 1);
  if (SHARES.includes(metric)) {
    const low = metric.startsWith("success") || start < 0.3 ? 0 : start - pad;
    const high = metric.startsWith("success") ? 1 : end;
    return { start: low === 0 ? -0.02 * high : low, end: Math.min(high + pad, 1.03) };
  }
  return { start: kind === "pit" ? 0 : start - pad, end: end + pad };
}

function tickLabel(tick) {
  if (Number.isInteger(tick) && tick < 1e5) return tick.toLocaleString("en");
  const short = Number(tick.toPrecision(2));
  return short >= 1e-4 && short < 1e5 ? short.toLocaleString("en", { maximumFractionDigits: 6 }) : fmt(short);
}

function setTicks(axis, ticks, label = tickLabel) {
  axis.ticker.ticks = ticks;
  axis.major_label_overrides = new Map(ticks.map((tick) => [tick, label(tick)]));
}

function ticksOfBins(plot, labels) {
  const axis = plot.below[0];
  Object.assign(plot.x_range, { start: -0.5, end: labels.length - 0.5 });
  setTicks(axis, labels.map((_, k) => k), (k) => labels[k]);
  const crowded = labels.length * Math.max(...labels.map((label) => label.length)) > 28;
  axis.major_label_orientation = crowded ? 0.7 : "horizontal";
}

// Ticks at 1, 2 and 5 of each decade, at 1 alone over more than two decades.
function logRange(plot, values) {
  if (!values.length) return;
  const [start, end] = [Math.min(...values) / 1.25, Math.max(...values) * 1.25];
  const decades = Math.log10(end / start);
  const steps = decades > 2.2 ? [1] : decades > 0.5 ? [1, 2, 5] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9];
  const every = decades > 6 ? 2 : 1;
  const ticks = [];
  for (let k = Math.floor(Math.log10(start)); k <= Math.ceil(Math.log10(end)); k += every) {
    ticks.push(...steps.map((step) => step * 10 ** k).filter((tick) => tick >= start && tick <= end));
  }
  Object.assign(plot.y_range, { start, end });
  setTicks(plot.left[0], ticks, tickLabel);
}
