// The two buttons below a listing: copy what it shows, or the same with all that it needs.
async function toClipboard(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch {
      // not allowed here: go on with the old way, which also works without https
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true;
  area.style.cssText = "position:fixed;top:0;opacity:0";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("the browser does not allow it");
}

function textOf(button) {
  if (button.dataset.copy !== "shown") return JSON.parse(document.getElementById(button.dataset.copy).textContent);
  return button.closest(".snippet").querySelector("pre").textContent;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const said = button.parentElement.querySelector("[role=status]");
  said.textContent = "";
  try {
    const text = textOf(button);
    await toClipboard(text);
    const lines = text.trimEnd().split("\n").length;
    said.textContent = lines === 1 ? "copied 1 line" : `copied ${lines} lines`;
  } catch (error) {
    said.textContent = `not copied: ${error.message}`;
  }
  button.focus();
});

function show() {
  for (const row of document.querySelectorAll(".snippet-copy")) row.hidden = false;
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show);
else show();
