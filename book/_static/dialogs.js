// Dialogs, which are the search and on a narrow screen the sidebars, have names; Escape closes them wherever one is in them;
// and the focus returns to where it was, which the theme's script has taken it from.
(() => {
const NAMES = { "pst-search-dialog": "Search", "pst-primary-sidebar-modal": "The book", "pst-secondary-sidebar-modal": "On this page" };
let opener;

for (const kind of ["click", "keydown"])
  addEventListener(kind, (event) => {
    if (!document.querySelector("dialog[open]")) opener = event.target.closest?.("button") ?? document.activeElement;
  }, true);
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.setAttribute("aria-label", NAMES[dialog.id] ?? "");
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.target.localName === "input") return; // there the theme's script does it
    event.stopPropagation();
    dialog.close();
  });
  dialog.addEventListener("close", () => opener?.focus());
}
})();
