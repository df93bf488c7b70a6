// One switch opens all evidence of the book: claims, and the code that is folded. The browser remembers it.
const KEPT = "evidence";

function setEvidence(open) {
  for (const one of document.querySelectorAll("details.evidence, details.hide")) one.open = open;
  for (const button of document.querySelectorAll(".btn-evidence")) button.setAttribute("aria-pressed", open);
}

function remembered() {
  try {
    return localStorage.getItem(KEPT) === "open";
  } catch {
    return false; // a browser that keeps nothing
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".btn-evidence");
  if (!button) return;
  const open = button.getAttribute("aria-pressed") !== "true";
  try {
    localStorage.setItem(KEPT, open ? "open" : "closed");
  } catch {
    // then for this page alone
  }
  setEvidence(open);
});

// An address that leads into what is folded opens it, also where the browser does not do so by itself.
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  if (target) target.scrollIntoView();
}

addEventListener("hashchange", reveal);
function begin() {
  setEvidence(remembered());
  reveal();
}
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
else begin();
