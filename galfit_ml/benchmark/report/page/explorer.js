// Single spectra: three plots of the same points, one selection, and the spectra of the selected.

class Points {
  constructor(packed) {
    this.parameters = packed.parameters;
    this.flagNames = packed.flags;
    this.spectra = Object.fromEntries(Object.entries(packed.spectra).map(([k, v]) => [k, decoded(v)]));
    this.texts = Object.fromEntries(Object.entries(packed.texts).map(([k, v]) => [k, texts(v)]));
    this.levels = Object.fromEntries(Object.entries(packed.texts).map(([k, v]) => [k, v.levels]));
    this.answers = Object.fromEntries(Object.entries(packed.answers).map(([k, v]) => [k, decoded(v)]));
    [this.number, this.row] = [decoded(packed.number), decoded(packed.row)];
    [this.backend, this.backends] = [packed.backend.codes, packed.backend.levels];
    this.count = this.row.length;
  }

  // Value of a column of the spectra or of the answers at point i.
  at(name, i) {
    return name in this.answers ? this.answers[name][i] : (this.spectra[name]?.[this.row[i]] ?? NaN);
  }

  // Column of the estimate: redshifts are right or wrong by the best one, which need not be the median.
  estimated(parameter) {
    return parameter === "redshift" && "best_redshift" in this.answers ? "best_redshift" : `median_${parameter}`;
  }

  // What errors and uncertainties of point i are divided by.
  scale(parameter, i) {
    return parameter === "redshift" ? 1 + this.at("true_redshift", i) : 1;
  }

  error(parameter, i) {
    const away = Math.abs(this.at(this.estimated(parameter), i) - this.at(`true_${parameter}`, i));
    return Math.max(away / this.scale(parameter, i), 1e-6);
  }

  // Error in units of the stated uncertainty.
  pull(parameter, i) {
    return this.error(parameter, i) / (this.at(`error_${parameter}`, i) / this.scale(parameter, i));
  }

  name(i) {
    return this.texts.id?.[this.row[i]] || `spectrum ${this.number[this.row[i]]}`;
  }

  // What points may be coloured by: [value, label].
  colours() {
    const found = [["backend", "backend"], ...Object.keys(this.texts).filter((n) => n !== "id").map((n) => [n, n])];
    if ("right" in this.answers) found.push(["right", "redshift right or wrong"]);
    found.push(...this.flagNames.map((flag) => [`flag:${flag.bit}`, `flag: ${flag.name}`]));
    const numbers = ["snr", "magnitude", "exposure_s", "log_ssfr", "redshift_probability"];
    const own = numbers.filter((name) => name in this.spectra || name in this.answers);
    found.push(...own.map((name) => [name, report.columns[name]]));
    for (const name of this.parameters) {
      const label = report.parameters[name];
      if (`true_${name}` in this.spectra) found.push([`true_${name}`, `true ${label}`]);
      found.push([this.estimated(name), `estimated ${label}`]);
    }
    return found;
  }

  // {value(i), labels, palette} of a choice; labels are null for numbers.
  colouring(choice) {
    const flag = choice.startsWith("flag:") ? Number(choice.slice(5)) : 0;
    if (flag) {
      return { value: (i) => ((this.answers.flags[i] & flag) !== 0 ? 1 : 0), labels: ["not set", "set"], palette: TWO };
    }
    if (choice === "right") return { value: (i) => this.answers.right[i], labels: ["wrong", "right"], palette: RIGHT };
    if (choice === "backend") {
      return { value: (i) => this.backend[i], labels: this.backends, palette: this.backends.map((b) => report.looks[b]) };
    }
    if (choice in this.texts) {
      const [labels, own] = [this.levels[choice], this.texts[choice]];
      return { value: (i) => labels.indexOf(own[this.row[i]]), labels, palette: report.classColours };
    }
    const log = choice === "snr" ? Math.log10 : (v) => v;
    return { value: (i) => log(this.at(choice, i)), labels: null, back: choice === "snr" ? (v) => 10 ** v : (v) => v };
  }
}

const TWO = ["#b4bac4", "#882255"];
const RIGHT = ["#D55E00", "#0072B2"];

class Explorer {
  constructor(section, id, bokeh) {
    Object.assign(this, { section, bokeh, points: new Points(held(`${id}-points`)) });
    this.source = bokeh.get_model_by_name("points");
    this.mapper = bokeh.get_model_by_name("scatter").renderers[0].glyph.fill_color.transform;
    this.viridis = [...this.mapper.palette];
    this.shown = new SelectedSpectra(section, id, bokeh, this.points);
    this.prepare();
    this.source.selected.properties.indices.change.connect(() => this.selected());
    this.refresh();
  }

  control(name) {
    return this.section.querySelector(`[data-control=${name}]`);
  }

  prepare() {
    const points = this.points;
    const own = [...points.backends.entries()].map(([code, name]) => [String(code), name]);
    const latent = own.find(([code]) => points.backend.some((b, i) => b == code && points.at("latent_x", i) === points.at("latent_x", i)));
    fillSelect(this.control("backend"), own.length > 1 ? [["*", "all"], ...own] : own, (latent ?? own[0])[0]);
    fillSelect(this.control("parameter"), points.parameters.map((name) => [name, report.parameters[name]]));
    const colours = points.colours();
    const first = ["class", "snr", "backend"].find((name) => colours.some(([value]) => value === name));
    fillSelect(this.control("colour"), colours, first);
    for (const name of ["backend", "parameter", "colour"]) {
      this.control(name).addEventListener("change", () => this.refresh());
    }
    for (const button of this.section.querySelectorAll("[data-pick]")) {
      button.hidden = button.dataset.pick === "wrong" && !("right" in points.answers);
      button.addEventListener("click", () => this.pick(button.dataset.pick));
    }
    if (matchMedia("(pointer: coarse)").matches) {
      for (const plot of this.plots()) plot.toolbar.active_drag = null; // a finger scrolls the page until it takes a tool
    }
  }

  plots() {
    return ["scatter", "latent", "errors"].map((name) => this.bokeh.get_model_by_name(name)).filter(Boolean);
  }

  refresh() {
    const points = this.points;
    const kept = new Set(this.source.selected.indices.map((k) => points.row[this.rows[k]]));
    const chosen = this.control("backend").value;
    const hidden = points.backends.map((name) => report.hidden.has(name));
    const rows = Array.from({ length: points.count }, (_, i) => i);
    this.rows = rows.filter((i) => (chosen === "*" ? !hidden[points.backend[i]] : points.backend[i] == chosen));
    this.source.selected.indices = [];
    this.source.data = this.columns();
    this.ranges();
    this.legend();
    this.source.selected.indices = kept.size ? [...this.rows.keys()].filter((k) => kept.has(points.row[this.rows[k]])) : [];
  }

  columns() {
    const [points, parameter] = [this.points, this.control("parameter").value];
    const colouring = (this.colouring = points.colouring(this.control("colour").value));
    const numbers = (value) => Float32Array.from(this.rows, value);
    return {
      true: numbers((i) => points.at(`true_${parameter}`, i)),
      median: numbers((i) => points.at(points.estimated(parameter), i)),
      half: numbers((i) => points.at(`error_${parameter}`, i)),
      latent_x: numbers((i) => points.at("latent_x", i)),
      latent_y: numbers((i) => points.at("latent_y", i)),
      snr: numbers((i) => points.at("snr", i)),
      error: numbers((i) => points.error(parameter, i)),
      colour: numbers(colouring.value),
      who: this.rows.map((i) => points.backends[points.backend[i]]),
      name: this.rows.map((i) => points.name(i)),
    };
  }

  ranges() {
    const [data, points, parameter] = [this.source.data, this.points, this.control("parameter").value];
    const label = report.parameters[parameter];
    const [scatter, latent, errors] = ["scatter", "latent", "errors"].map((n) => this.bokeh.get_model_by_name(n));
    const both = around([...percentiles(data.true, 0.002), ...percentiles(data.median, 0.002)]);
    setRange(scatter.x_range, both);
    setRange(scatter.y_range, both);
    scatter.below[0].axis_label = `true ${label}`;
    scatter.left[0].axis_label = points.estimated(parameter) === "best_redshift" ? "best redshift" : "estimated (median)";
    if (latent) {
      setRange(latent.x_range, around(percentiles(data.latent_x, 0.001)));
      setRange(latent.y_range, around(percentiles(data.latent_y, 0.001)));
    }
    if (!errors) return;
    setRange(errors.x_range, aroundLog(percentiles(data.snr.filter((snr) => snr > 0), 0.004)));
    setRange(errors.y_range, aroundLog(percentiles(data.error, 0.002)));
    errors.left[0].axis_label = parameter === "redshift" ? "|Δz| / (1 + z)" : "|estimated − true|";
    for (const part of errors.center) if (part.name === "limit") part.visible = points.estimated(parameter) === "best_redshift";
  }

  // Sets the colours of the points and says beside the plots what they mean.
  legend() {
    const [legend, { labels, palette, back }] = [this.section.querySelector(".colours"), this.colouring];
    if (labels) {
      const shades = labels.map((_, k) => palette[k % palette.length]);
      this.mapper.setv({ palette: shades, low: -0.5, high: labels.length - 0.5 });
      legend.replaceChildren(...labels.map((label, k) => swatch(shades[k], label || "(none)")));
      return;
    }
    const [low, high] = percentiles(this.source.data.colour, 0.02);
    this.mapper.setv({ palette: this.viridis, low, high: high > low ? high : low + 1 });
    const steps = [0, 64, 128, 192, 255].map((k) => this.viridis[k]);
    const bar = make("span", "", { class: "bar", style: `background:linear-gradient(90deg,${steps.join(",")})` });
    legend.replaceChildren(make("span", fmt(back(low))), bar, make("span", fmt(back(high))));
  }

  selected() {
    this.shown.show(this.source.selected.indices.map((k) => this.rows[k]), this.control("parameter").value);
  }

  pick(what) {
    const [points, parameter] = [this.points, this.control("parameter").value];
    const own = [...this.rows.keys()].filter((k) => this.shown.has(this.rows[k]));
    const sigma = (k) => points.pull(parameter, this.rows[k]);
    const finite = (k) => Number.isFinite(sigma(k));
    const choices = {
      wrong: () => shuffled(own.filter((k) => points.answers.right?.[this.rows[k]] === 0)),
      overconfident: () => own.filter(finite).sort((a, b) => sigma(b) - sigma(a)),
      random: () => shuffled(own),
      none: () => [],
    };
    this.source.selected.indices = choices[what]().slice(0, MOST_SHOWN);
  }
}

function shuffled(list) {
  for (let k = list.length - 1; k > 0; k--) {
    const other = Math.floor(Math.random() * (k + 1));
    [list[k], list[other]] = [list[other], list[k]];
  }
  return list;
}

function percentiles(values, share) {
  const sorted = Float64Array.from(values.filter(Number.isFinite)).sort();
  if (!sorted.length) return [0, 1];
  const last = sorted.length - 1;
  return [sorted[Math.floor(share * last)], sorted[Math.ceil((1 - share) * last)]];
}

function around(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = 0.04 * (high - low || Math.abs(low) || 1);
  return [low - pad, high + pad];
}

function aroundLog(values) {
  const [low, high] = [Math.max(values[0], 1e-6), Math.max(values[1], 2e-6)];
  return [low / 1.3, high * 1.3];
}

function setRange(range, [start, end]) {
  range.setv({ start, end, reset_start: start, reset_end: end });
}

function swatch(colour, label) {
  const element = make("span", "", { class: "swatch" });
  element.append(make("i", "", { style: `background:${colour}` }), label);
  return element;
}
