// Starts the page: legend, and the plots of a suite when they come into view.

Object.assign(report, held("words"));

const parts = {
  async panels(section, id) {
    const rows = new Rows(held(`${id}-rows`));
    const list = section.querySelector(".rows");
    list.addEventListener("toggle", () => (section.rowList ??= new RowList(list, rows)), { once: true });
    section.rowData = rows;
    if (!held(`${id}-panels`)) return null;
    return new Panels(section, rows, held(`${id}-panels`).backends, await embedded(`${id}-panels`));
  },
  async explorer(section, id) {
    return new Explorer(section.querySelector(".explorer"), id, await embedded(`${id}-explorer`));
  },
};

// Fills a part of a suite once; `report.mount("s0", "explorer")` gives a promise of it.
report.mount = (id, part) => {
  const key = `${id}-${part}`;
  if (!report.mounted.has(key)) report.mounted.set(key, parts[part](document.getElementById(id), id));
  return report.mounted.get(key);
};

async function toggled(button) {
  const name = button.dataset.backend;
  report.hidden[report.hidden.has(name) ? "delete" : "add"](name);
  button.setAttribute("aria-pressed", String(!report.hidden.has(name)));
  for (const part of report.mounted.values()) (await part)?.refresh();
}

for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => toggled(button));
}

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      report.mount(target.dataset.suite, target.dataset.part);
    }
  },
  { rootMargin: "600px" },
);

// The panels of the first suite at once, then its single spectra; the others when they come near.
report.ready = (async () => {
  if (document.querySelector("#s0")) await report.mount("s0", "panels");
  return performance.now();
})();

report.complete = (async () => {
  await report.ready;
  await new Promise((next) => setTimeout(next, 50));
  const places = [...document.querySelectorAll("[data-part]")];
  const own = ({ dataset }) => dataset.suite === "s0";
  for (const place of places.filter((one) => !own(one))) watcher.observe(place);
  for (const place of places.filter(own)) await report.mount(place.dataset.suite, place.dataset.part);
  return performance.now();
})();
