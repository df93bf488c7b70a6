// Paper is white: a dark page is printed in the colours of the light one.
const page = document.documentElement;
let shown;
addEventListener("beforeprint", () => {
  shown = page.dataset.theme;
  page.dataset.theme = "light";
});
addEventListener("afterprint", () => {
  page.dataset.theme = shown;
});
