// Live parts of a page. An element with data-live="topic topic" fetches itself again (its own hx-get) when the
// server signals one of its topics. Signals carry no HTML: what is shown always passed the viewer's permissions.

const PACE = 1000; // an element asks at most once in this time
const POLL = 10_000; // only while there is no stream
const ABSENT = new Set([502, 503, 504]); // a proxy's word that the server is not there
const states = new WeakMap();
const indicator = document.getElementById("live-state");

let stream = null;
let topics = "";
let poll = null;
let since = null; // when the server stopped answering
let leaving = false; // somebody signs out

const parts = () => [...document.querySelectorAll("[data-live][hx-get]")];
const stateOf = (part) => {
  if (!states.has(part)) states.set(part, { asked: 0, timer: null, held: new Set(), requests: 0, again: false });
  return states.get(part);
};

// Someone is busy with this part: it must not change under their hands.
const frozen = (part) => {
  if ([...document.querySelectorAll("dialog[open]")].some((dialog) => !dialog.contains(part))) return true;
  const selection = document.getSelection();
  if (!selection.isCollapsed && selection.containsNode(part, true)) return true;
  return part.querySelector("input[data-row]:checked") !== null;
};

const chip = (part, count) => {
  let holder = part.querySelector(":scope > .live-chip");
  if (count === 0) {
    holder?.remove();
    return;
  }
  if (!holder) {
    holder = document.createElement("div");
    holder.className = "live-chip";
    holder.innerHTML = '<button type="button" class="btn btn-small" data-live-show></button>';
    part.prepend(holder);
  }
  holder.firstElementChild.textContent = `${count} new`;
};

const ask = (part) => {
  const state = stateOf(part);
  clearTimeout(state.timer);
  state.timer = null;
  state.held.clear();
  chip(part, 0);
  if (leaving || document.hidden || !part.isConnected) return;
  state.asked = performance.now();
  htmx.trigger(part, "refresh", {}, false);
};

const refresh = (part, id = null) => {
  const state = stateOf(part);
  if (frozen(part)) {
    state.held.add(id ?? ""); // "": something may have changed, nobody said what; it is not counted
    if (id !== null) chip(part, [...state.held].filter(Boolean).length);
    return;
  }
  if (state.requests > 0) {
    state.again = true;
    return;
  }
  if (state.timer !== null) return;
  const wait = state.asked === 0 ? 0 : Math.max(0, state.asked + PACE - performance.now());
  state.timer = setTimeout(() => {
    state.timer = null;
    // Frozen, or asked for by a person, in the meantime: hold it back after all.
    if (frozen(part) || state.requests > 0) refresh(part, id);
    else ask(part);
  }, wait);
};

// One request at a time per part. A page or sort order the viewer asks for replaces a refresh under way (hx-sync);
// a refresh waits for the viewer's, or the older answer could arrive last and undo it.
const underWay = new Map();
document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  const target = typeof ctx.target === "string" ? document.querySelector(ctx.target) : ctx.target;
  if (!target?.matches?.("[data-live]")) return;
  underWay.set(ctx, target);
  stateOf(target).requests += 1;
});
// A dialog was opened, or a row ticked, after the part had asked: the answer waits too.
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  const part = underWay.get(ctx);
  if (!part || ctx.sourceElement !== part || !frozen(part)) return;
  event.preventDefault();
  stateOf(part).held.add("");
});
document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  const part = underWay.get(ctx);
  if (!part) return;
  underWay.delete(ctx);
  const state = stateOf(part);
  state.requests -= 1;
  if (state.requests > 0 || !state.again) return;
  state.again = false;
  refresh(part);
});

const refreshAll = () => parts().forEach((part) => refresh(part));

const show = (state, label) => {
  if (!indicator) return;
  indicator.hidden = parts().length === 0;
  indicator.dataset.state = state;
  if (indicator.textContent !== label) indicator.textContent = label;
};
const clock = (moment) => moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const showPolling = () => {
  if (since) show("lost", `Not connected since ${clock(since)}`);
  else show("polling", "Every 10 s");
};

const startPolling = () => {
  showPolling();
  poll ??= setInterval(refreshAll, POLL);
};
const stopPolling = () => {
  clearInterval(poll);
  poll = null;
};

// What the server last had to say to a request of a part: while it says nothing, the page is as old as that.
document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  if (!underWay.has(ctx)) return;
  since = ABSENT.has(ctx.response.status) ? (since ?? new Date()) : null;
  if (poll !== null) showPolling();
});
document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (!ctx || ctx.response || !ctx.sourceElement.matches?.("[data-live]")) return;
  since ??= new Date();
  if (poll !== null) showPolling();
});

const heard = {
  open: () => {
    since = null;
    stopPolling();
    show("live", "Live");
    refreshAll(); // what changed while nobody was listening
  },
  lost: () => {
    if (poll === null) refreshAll(); // its answer, or none, says how bad it is
    startPolling();
  },
};

const topicsOf = (part) => part.dataset.live.split(/\s+/).filter(Boolean);
const wanted = () => [...new Set(parts().flatMap(topicsOf))].sort().join(",");

const connect = () => {
  // The worker finds the stream's address in its name: each dashboard has signals of its own.
  const { stream: address, signals: name } = indicator.dataset;
  const worker = window.SharedWorker ? new SharedWorker(address, { name }).port : new Worker(address, { name });
  worker.onmessage = ({ data: { state, signal } }) => {
    if (state && topics !== "") heard[state]();
    for (const part of signal ? parts() : []) {
      if (topicsOf(part).includes(signal.topic)) refresh(part, `${signal.topic}:${signal.id}`);
    }
  };
  return worker;
};

const follow = () => {
  topics = wanted();
  if (topics === "") show("off", "");
  else startPolling(); // until the stream stands
  stream ??= connect();
  stream.postMessage(topics.split(",").filter(Boolean));
};
const leave = () => {
  topics = "";
  stream?.postMessage([]);
  stopPolling();
};

const thaw = () => {
  for (const part of parts()) if (stateOf(part).held.size > 0 && !frozen(part)) refresh(part);
};
document.addEventListener("close", thaw, true);
document.addEventListener("selectionchange", thaw);
document.addEventListener("change", thaw);
document.addEventListener("click", (event) => {
  const part = event.target.closest("[data-live-show]")?.closest("[data-live]");
  if (part) ask(part);
});

// A hidden tab asks for nothing.
document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
addEventListener("pagehide", leave);
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  leaving = false;
  follow();
});
// Whoever signs out has no use for what is still asked for: it would only be refused.
document.addEventListener("submit", (event) => {
  if (!event.target.matches('[action="/signout"]')) return;
  leaving = true;
  leave();
  for (const ctx of underWay.keys()) ctx.request.abort();
});

// Parts come and go with swaps; the stream follows.
document.addEventListener("htmx:after:swap", () => {
  if (wanted() !== topics && !document.hidden) follow();
});

// What a person opened stays open when its surroundings are refreshed.
htmx.registerExtension("keep-open", {
  htmx_before_morph_attr: (element, { attrName }) =>
    !(attrName === "open" && (element.tagName === "DETAILS" || element.tagName === "DIALOG")),
});

// data-refresh="10": also by the clock, for what no signal announces.
setInterval(() => {
  if (document.hidden) return;
  for (const part of document.querySelectorAll("[data-refresh][hx-get]")) {
    if (performance.now() - stateOf(part).asked >= Number(part.dataset.refresh) * 1000) refresh(part);
  }
}, 1000);

if (indicator && !document.hidden) follow();
