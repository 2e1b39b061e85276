// Search of the report. The page can be read without it.
"use strict";
(() => {
  const form = document.querySelector("form");
  const [box, told, unfold] = ["input", "output", "button"].map(name => form.querySelector(name));
  const steps = [...document.querySelectorAll("article")].map(element => ({
    element,
    row: document.querySelector(`nav a[href="#${element.id}"]`).closest("li"),
    text: element.textContent.toLowerCase(),
  }));
  const marks = window.Highlight && new Highlight();
  const most = 2000;
  let ranges = [], here = -1, opened = [], timer;

  // The folded elements that hide a range.
  const folds = range => {
    const found = [];
    let below = range.startContainer;
    for (let each = below.parentElement; each; [below, each] = [each, each.parentElement])
      if (each.tagName === "DETAILS" && !each.open && below.tagName !== "SUMMARY") found.push(each);
    return found;
  };
  const unfoldTo = range => folds(range).forEach(each => { each.open = true; opened.push(each); });

  // Mark the words in a step, and unfold them if none of them can be seen.
  function mark(element, words) {
    const before = ranges.length;
    const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (walk.nextNode() && ranges.length < most) {
      const text = walk.currentNode.data.toLowerCase();
      for (let at = text.indexOf(words); at >= 0 && ranges.length < most; at = text.indexOf(words, at + words.length)) {
        const range = document.createRange();
        range.setStart(walk.currentNode, at);
        range.setEnd(walk.currentNode, Math.min(at + words.length, walk.currentNode.length));
        ranges.push(range);
      }
    }
    const own = ranges.slice(before);
    if (own.length && own.every(each => folds(each).length)) unfoldTo(own[0]);
  }

  function search() {
    const words = box.value.trim().toLowerCase();
    opened.forEach(each => { each.open = false; });
    [ranges, opened, here] = [[], [], -1];
    let found = 0;
    for (const step of steps) {
      const hit = step.text.includes(words);
      found += hit;
      step.element.hidden = step.row.hidden = !hit;
      if (hit && words && !step.element.parentElement.closest("article")) mark(step.element, words);
    }
    told.value = words && `${found} of ${steps.length} steps`;
    if (marks) {
      marks.clear();
      ranges.forEach(each => marks.add(each));
      CSS.highlights.set("found", marks);
    }
  }

  function go(by) {
    if (!ranges.length) return;
    here = (here + by + ranges.length) % ranges.length;
    unfoldTo(ranges[here]);
    if (marks) CSS.highlights.set("here", new Highlight(ranges[here]));
    ranges[here].startContainer.parentElement.scrollIntoView({ block: "center" });
    told.value = `${here + 1} of ${ranges.length}${ranges.length === most ? "+" : ""}`;
  }

  box.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
  form.addEventListener("submit", event => {
    event.preventDefault();
    clearTimeout(timer);
    if (here < 0) search();
    go(1);
  });
  box.addEventListener("keydown", event => {
    if (event.key === "Enter" && event.shiftKey) { event.preventDefault(); go(-1); }
    if (event.key === "Escape") { box.value = ""; search(); box.blur(); }
  });
  document.addEventListener("keydown", event => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.tagName === "INPUT") return;
    event.preventDefault();
    box.focus();
  });

  function all(state) { for (const each of document.querySelectorAll("main details")) each.open = state; }
  unfold.addEventListener("click", () => {
    const state = unfold.textContent === "Unfold all";
    unfold.textContent = state ? "Fold all" : "Unfold all";
    all(state);
  });
  // A link to a step may lead into a folded subgraph.
  const show = () => {
    const target = /^#c\d+$/.test(location.hash) && document.querySelector(location.hash);
    for (let each = target && target.parentElement; each; each = each.parentElement)
      if (each.tagName === "DETAILS") each.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", show);
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open], .state)")];
    folded.forEach(each => { each.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach(each => { each.open = false; }));
  form.hidden = false;
  show();
})();
