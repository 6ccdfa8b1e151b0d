"use strict";

// Filter, sort and turn the pages of each sample browser. All data is read from the cards themselves.

const PAGE = 24;
const byName = new Intl.Collator("en", { numeric: true });

function compare(sort, order) {
  if (sort === "data") return (a, b) => order * (a.position - b.position);
  if (sort === "id") return (a, b) => order * byName.compare(a.id, b.id) || a.position - b.position;
  const column = Number(sort);
  return (a, b) => {
    const x = a.scores[column], y = b.scores[column];
    // a sample without the score comes last, whatever the order
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a.position - b.position;
    return order * (x - y) || a.position - b.position;
  };
}

function entryOf(element) {
  const data = element.dataset;
  return {
    element,
    id: data.id,
    position: Number(data.position),
    state: data.state,
    strata: data.strata.split(" "),
    outcomes: data.outcomes.split(" "),
    scores: data.scores.split(" ").map((text) => (text === "-" || text === "" ? NaN : Number(text))),
    text: element.textContent.toLowerCase(),
  };
}

function meets(outcomes, wanted) {
  if (wanted === "") return true;
  if (wanted === "agree") return outcomes.every((outcome) => outcome === "same");
  if (wanted === "differ") return outcomes.some((outcome) => outcome === "better" || outcome === "worse");
  const [run, outcome] = wanted.split(" ");
  return outcomes[Number(run)] === outcome;
}

// Lay the picture that was given over each picture that was made: cut at a slider, or as a difference.
function dress(card, mode) {
  const given = card.querySelector("[data-before] img");
  const stages = card.querySelectorAll(".answer .stage");
  card.querySelectorAll(".before, .slide").forEach((element) => element.remove());
  for (const stage of stages) {
    stage.classList.toggle("cut", mode === "cut" && given !== null);
    stage.classList.toggle("difference", mode === "difference" && given !== null);
    if (mode === "plain" || given === null) continue;
    const before = given.cloneNode();
    before.className = given.classList.contains("pixels") ? "before pixels" : "before";
    before.alt = "";
    before.removeAttribute("loading");
    stage.querySelector(".picture").after(before);
  }
  if (mode === "cut" && given !== null && stages.length > 0) card.querySelector(".answers").before(slide(card));
}

function slide(card) {
  const label = document.createElement("label"), range = document.createElement("input");
  label.className = "slide";
  range.type = "range";
  range.setAttribute("aria-label", "How much of the picture before is shown, in percent");
  range.value = parseFloat(card.style.getPropertyValue("--cut")) || 0;
  range.addEventListener("input", () => card.style.setProperty("--cut", `${range.value}%`));
  label.append("after", range, "before");
  return label;
}

function restore(select) {
  select.selectedIndex = Math.max(0, Array.from(select.options).findIndex((option) => option.defaultSelected));
}

function browse(browser) {
  const find = (name) => browser.querySelector(`[data-${name}]:not([data-card])`);
  const cards = find("cards");
  const entries = Array.from(browser.querySelectorAll("[data-card]"), entryOf);
  const [text, state, stratum, sort, order] = ["text", "state", "stratum", "sort", "order"].map(find);
  const [outcome, mode, overlay] = ["outcome", "mode", "overlay"].map(find);
  let page = 0;

  function kept() {
    const words = text.value.toLowerCase().trim();
    return entries.filter((entry) =>
      (words === "" || entry.text.includes(words)) &&
      (state.value === "" || entry.state === state.value) &&
      (outcome === null || meets(entry.outcomes, outcome.value)) &&
      (stratum === null || stratum.value === "" || entry.strata.includes(stratum.value)));
  }

  function show() {
    const found = kept().sort(compare(sort.value, Number(order.value)));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const from = page * PAGE;
    const seen = found.slice(from, from + PAGE);
    for (const entry of entries) entry.element.hidden = true;
    for (const entry of seen) entry.element.hidden = false;
    cards.append(...seen.map((entry) => entry.element));
    if (mode !== null) for (const entry of seen) dress(entry.element, mode.value);
    find("count").textContent = found.length === 0
      ? "No sample matches."
      : `${(from + 1).toLocaleString("en")} to ${(from + seen.length).toLocaleString("en")} of ${found.length.toLocaleString("en")}`;
    find("page").textContent = `Page ${page + 1} of ${pages}`;
    find("previous").disabled = page === 0;
    find("next").disabled = page === pages - 1;
    browser.querySelector(".pages").hidden = pages === 1;
  }

  function restart() {
    page = 0;
    show();
  }

  function turn(step) {
    page += step;
    show();
    browser.scrollIntoView();
  }

  for (const control of [text, state, outcome, stratum, sort, order]) control?.addEventListener("input", restart);
  mode?.addEventListener("input", show);
  overlay?.addEventListener("input", () => cards.classList.toggle("bare", !overlay.checked));
  find("previous").addEventListener("click", () => turn(-1));
  find("next").addEventListener("click", () => turn(1));
  find("reset").addEventListener("click", () => {
    text.value = "";
    browser.querySelectorAll("select").forEach(restore);
    restart();
  });
  browser.querySelector(".controls").hidden = false;
  show();
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

document.querySelectorAll("[data-browser]").forEach(browse);
addEventListener("hashchange", openTarget);
// on paper nothing can be unfolded
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open])")) {
    folded.open = true;
    folded.dataset.printed = "";
  }
});
addEventListener("afterprint", () => {
  for (const printed of document.querySelectorAll("details[data-printed]")) {
    printed.open = false;
    delete printed.dataset.printed;
  }
});
openTarget();
