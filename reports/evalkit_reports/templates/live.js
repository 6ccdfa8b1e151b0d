// Follow the runs: ask the server every few seconds how far they are.

const EVERY_MS = 2000;
const live = document.querySelector("[data-live]");

function follow(run) {
  const place = Array.from(live.querySelectorAll("[data-run]")).find((element) => element.dataset.run === run.name);
  if (place === undefined) return;
  place.querySelector("progress").value = run.answered;
  place.querySelector("[data-told]").textContent = run.text;
  place.querySelector("[data-fresh]").hidden = run.answered === Number(place.dataset.answered);
}

async function look() {
  try {
    const answer = await fetch("state.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const found = await answer.json();
    if (found.state !== live.dataset.state) location.reload();
    found.runs.forEach(follow);
    live.querySelector("[data-lost]").hidden = true;
  } catch {
    live.querySelector("[data-lost]").hidden = false;
  }
  setTimeout(look, EVERY_MS);
}

live.querySelectorAll("[data-fresh]").forEach((button) => button.addEventListener("click", () => location.reload()));
setTimeout(look, EVERY_MS);
