// Paper is white, and nothing on it opens: a dark page is printed in the colours of the light one, evidence unfolded.
const page = document.documentElement;
let shown, folded;
addEventListener("beforeprint", () => {
  shown = page.dataset.theme;
  page.dataset.theme = "light";
  folded = [...document.querySelectorAll("details.evidence:not([open]), details.hide:not([open])")];
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => {
  page.dataset.theme = shown;
  for (const one of folded) one.open = false;
});
