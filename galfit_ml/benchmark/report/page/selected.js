// The spectra of the selected points, and what every backend says of them.

const MOST_SHOWN = 4;

class SelectedSpectra {
  constructor(section, id, bokeh, points) {
    Object.assign(this, { bokeh, points, packed: held(`${id}-spectra`) });
    [this.note, this.table] = [section.querySelector(".selection-note"), section.querySelector(".selection table")];
    this.figure = section.querySelector(".selection .plot");
    if (!this.packed) return;
    this.rows = new Map([...decoded(this.packed.number)].map((number, k) => [number, k]));
    this.wavelength = Array.from(decoded(this.packed.wavelength));
    const plot = bokeh.get_model_by_name("spectra");
    const [first, last] = [this.wavelength[0], this.wavelength.at(-1)];
    Object.assign(plot.x_range, { start: first, end: last });
  }

  has(i) {
    return !this.packed || this.rows.has(this.numberOf(i));
  }

  numberOf(i) {
    return this.points.number[this.points.row[i]];
  }

  // The first few selected spectra, those before that can be drawn; `chosen` are points.
  show(chosen, parameter) {
    const own = new Map(chosen.map((i) => [this.points.row[i], i]));
    const drawable = [...own.values()].filter((i) => this.packed && this.has(i)).slice(0, MOST_SHOWN);
    const listed = drawable.length ? drawable : [...own.values()].slice(0, MOST_SHOWN);
    this.note.textContent = this.told(own.size, listed.length, drawable.length);
    this.list(listed, parameter);
    if (this.figure) this.figure.hidden = !drawable.length;
    if (this.packed) this.draw(drawable);
  }

  told(selected, listed, drawn) {
    if (!selected) return "Nothing is selected.";
    const some = listed < selected ? `, the first ${listed} below` : "";
    const none = this.packed && !drawn ? "; the report holds no spectrum of them" : "";
    return `${selected.toLocaleString("en")} ${selected === 1 ? "spectrum" : "spectra"} selected${some}${none}.`;
  }

  draw(drawable) {
    this.flux ??= decoded(this.packed.levels);
    const n = this.wavelength.length;
    const curves = drawable.map((i, k) => {
      const start = this.rows.get(this.numberOf(i)) * n;
      const base = drawable.length - 1 - k;
      return Array.from(this.flux.subarray(start, start + n), (v) => (v === 255 ? NaN : base + (0.88 * v) / 254));
    });
    const plot = this.bokeh.get_model_by_name("spectra");
    Object.assign(plot.y_range, { start: -0.06, end: Math.max(drawable.length, 1) + 0.02 });
    plot.height = 60 + 150 * Math.max(drawable.length, 1);
    const tags = drawable.map((_, k) => ({ x: this.wavelength[0], y: drawable.length - k - 0.12, label: ` ${k + 1}` }));
    this.bokeh.get_model_by_name("spectra:flux").data = { xs: curves.map(() => this.wavelength), ys: curves };
    this.bokeh.get_model_by_name("spectra:names").data = inColumns(tags, ["x", "y", "label"]);
    const marks = drawable.flatMap((i, k) => this.marks(i, drawable.length - 1 - k));
    this.bokeh.get_model_by_name("spectra:lines").data = inColumns(marks, ["x", "low", "high", "label"]);
  }

  // Where lines are at the true redshift of point i.
  marks(i, base) {
    const redshift = this.points.at("true_redshift", i);
    const wide = this.figure.clientWidth > 700;
    const seen = (x) => x > this.wavelength[0] && x < this.wavelength.at(-1);
    const lines = report.lines.map(({ label, wavelength }) => ({ label: wide ? label : "", x: wavelength * (1 + redshift) }));
    return lines.filter(({ x }) => seen(x)).map((line) => ({ ...line, low: base, high: base + 0.98 }));
  }

  list(listed, parameter) {
    const points = this.points;
    const kinds = Object.keys(points.texts).filter((name) => name !== "id").slice(0, 1);
    const head = make("tr");
    const names = ["", "spectrum", ...kinds, "S/N", `true ${report.parameters[parameter]}`, ...points.backends];
    head.append(...names.map((name) => make("th", name)));
    const lines = listed.map((i, k) => {
      const line = make("tr");
      const fixed = [k + 1, points.name(i), ...kinds.map((name) => points.texts[name][points.row[i]])];
      fixed.push(fmt(points.at("snr", i)), fmt(points.at(`true_${parameter}`, i), points.at(`error_${parameter}`, i)));
      line.append(...[...fixed, ...this.answers(i, parameter)].map((text) => make("td", text)));
      return line;
    });
    this.table.replaceChildren(...(listed.length ? [head, ...lines] : []));
  }

  // What each backend says of the spectrum of point i.
  answers(i, parameter) {
    const points = this.points;
    this.byRow ??= grouped(points.row);
    return points.backends.map((_, code) => {
      const own = this.byRow.get(points.row[i]).find((k) => points.backend[k] === code);
      if (own === undefined) return "–";
      return withError(points.at(points.estimated(parameter), own), points.at(`error_${parameter}`, own));
    });
  }
}

function inColumns(records, names) {
  return Object.fromEntries(names.map((name) => [name, records.map((record) => record[name])]));
}

function grouped(row) {
  const found = new Map();
  row.forEach((key, i) => (found.has(key) ? found.get(key).push(i) : found.set(key, [i])));
  return found;
}
