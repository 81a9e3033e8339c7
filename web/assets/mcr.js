// What is more comfortable with a script: copying, keys, the choice of a client. Every page does its work without it.

const choice = "mcr-client";

// Buttons that copy are hidden where nothing can copy.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    const from = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(from.textContent.trim());
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}

// One client's command in place of all, and the same one on the next page.
for (const box of document.querySelectorAll("[data-clients]")) {
  const rows = [...box.querySelectorAll("[data-client]")];
  if (rows.length < 2) continue;
  const select = document.createElement("select");
  select.setAttribute("aria-label", "Client");
  for (const row of rows) select.add(new Option(row.dataset.client));
  const show = (name) => {
    const known = rows.some((row) => row.dataset.client === name) ? name : rows[0].dataset.client;
    select.value = known;
    for (const row of rows) row.hidden = row.dataset.client !== known;
  };
  select.addEventListener("change", () => {
    show(select.value);
    try { localStorage.setItem(choice, select.value); } catch { /* it is not remembered */ }
  });
  box.prepend(select);
  box.classList.add("one");
  let before = "";
  try { before = localStorage.getItem(choice) ?? ""; } catch { /* it was not remembered */ }
  show(before);
}

// Keys: / searches, g and a letter goes, j and k move among rows, ? tells of them.
const places = { r: "/repositories", m: "/me" };
if (document.querySelector('.side a[href="/gc"]')) Object.assign(places, { o: "/", a: "/audit", c: "/gc", u: "/uploads" });
let leads = false;

const rowLinks = () => [...document.querySelectorAll("tbody a.name")].filter((link) => link.offsetParent);
const move = (step) => {
  const links = rowLinks();
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at + step))].focus();
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (leads) {
    leads = false;
    if (places[event.key]) location.href = places[event.key];
    return;
  }
  switch (event.key) {
    case "/": document.getElementById("q")?.focus(); event.preventDefault(); break;
    case "g": leads = true; setTimeout(() => { leads = false; }, 1500); break;
    case "j": move(1); break;
    case "k": move(-1); break;
    case "?": document.getElementById("keys")?.showModal(); break;
  }
});
