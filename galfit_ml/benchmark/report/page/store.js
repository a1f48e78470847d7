// What the page holds: JSON in script elements, numbers as base64, text as codes.

const report = { hidden: new Set(), mounted: new Map(), ready: null };

function held(id) {
  const element = document.getElementById(id);
  return element ? JSON.parse(element.textContent) : null;
}

function decoded(packed) {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const kinds = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };
  return new kinds[packed.type](bytes.buffer);
}

function texts(coded) {
  return coded.codes.map((code) => coded.levels[code]);
}

// Numbers as galfit_ml.benchmark.report.wording writes them: digits after the error, else three significant ones.
function numberParts(value, error) {
  if (value === null || !Number.isFinite(value)) return ["–", "", ""];
  const known = Number.isFinite(error) && error > 0;
  const size = Math.max(Math.abs(value), known ? error : 0);
  const exponent = size === 0 || (size >= 1e-3 && size < 1e7) ? 0 : Math.floor(Math.log10(size));
  const power = exponent ? String(exponent).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]) : "";
  const scaled = value / 10 ** exponent;
  if (known) {
    const own = error / 10 ** exponent;
    const first = Math.floor(Math.log10(own));
    const digits = -first + (own < 1.95 * 10 ** first ? 1 : 0);
    return [rounded(scaled, digits), rounded(own, digits), power];
  }
  if (scaled === 0) return ["0", "", ""];
  const text = rounded(scaled, 2 - Math.floor(Math.log10(Math.abs(scaled))));
  return [text.includes(".") ? text.replace(/\.?0+$/, "") : text, "", power];
}

function rounded(value, digits) {
  const shown = Math.max(digits, 0);
  const exact = digits < 0 ? Math.round(value * 10 ** digits) / 10 ** digits : value;
  return exact.toLocaleString("en", { minimumFractionDigits: shown, maximumFractionDigits: shown });
}

function fmt(value, error) {
  const [text, , power] = numberParts(value, error);
  return power ? `${text} × 10${power}` : text;
}

function withError(value, error) {
  const [text, spread, power] = numberParts(value, error);
  if (!spread) return fmt(value);
  return power ? `(${text} ± ${spread}) × 10${power}` : `${text} ± ${spread}`;
}

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function fillSelect(select, options, chosen) {
  select.replaceChildren(...options.map(([value, label]) => make("option", label, { value })));
  if (chosen !== undefined) select.value = chosen;
}

// Puts the figures of a bokeh document into the elements that are named after them; returns the document.
async function embedded(id) {
  const { document: content, places } = held(id);
  await Bokeh.embed.embed_items({ [id]: content }, [{ docid: id, roots: places, root_ids: Object.keys(places) }]);
  const first = Object.keys(places)[0];
  return Bokeh.documents.find((one) => one.get_model_by_id(first) !== null);
}
