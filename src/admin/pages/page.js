// Better with script, complete without: the overview is renewed every ten seconds while it is looked at.
"use strict";
(() => {
  const live = () => document.getElementById("live");
  if (!live()) return;
  const renew = async () => {
    if (document.hidden || document.activeElement?.closest("#live")) return;
    const answer = await fetch("/", { headers: { accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.getElementById("live");
    if (!next) return;
    live().replaceWith(next);
    const at = document.querySelector(".at");
    const then = page.querySelector(".at");
    if (at && then) at.replaceWith(then);
  };
  setInterval(() => renew().catch(() => {}), 10000);
})();
