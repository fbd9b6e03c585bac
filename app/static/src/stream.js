// One stream of signals for all windows of a browser: over HTTP/1.1 it opens six connections to a server and no more,
// so a stream for each window would leave none for the seventh. Runs as a worker that the windows share; where there are
// no shared ones, as a window's own. A window says which topics it follows ([] when hidden), and hears
// {state: "open" | "lost"} and {signal: {topic, id}}. The worker's name is the stream's address: the owner's or a tenant's.

const RETRY = 5000;
const windows = new Map(); // port -> its topics
let source = null;
let followed = "";
let failures = 0;
let retry = null;

const tell = (message) => windows.forEach((topics, port) => topics.length > 0 && port.postMessage(message));
const wanted = () => [...new Set([...windows.values()].flat())].sort().join(",");

const connect = () => {
  clearTimeout(retry);
  source?.close();
  source = null;
  followed = wanted();
  if (followed === "") return;
  const mine = (source = new EventSource(`${self.name}?topics=${encodeURIComponent(followed)}`));
  source.addEventListener("open", () => {
    failures = 0;
    tell({ state: "open" });
  });
  source.addEventListener("signal", ({ data }) => tell({ signal: JSON.parse(data) }));
  source.addEventListener("error", () => {
    if (mine !== source) return;
    tell({ state: "lost" });
    if (mine.readyState !== EventSource.CLOSED) return; // the browser reconnects by itself
    retry = setTimeout(connect, Math.min(60_000, RETRY * 2 ** failures++));
  });
};

const join = (port) => {
  port.onmessage = ({ data: topics }) => {
    if (topics.length === 0) windows.delete(port);
    else windows.set(port, topics);
    if (wanted() !== followed) connect();
    else if (source?.readyState === EventSource.OPEN && topics.length > 0) port.postMessage({ state: "open" });
  };
};

if ("onconnect" in self) self.onconnect = ({ ports: [port] }) => join(port);
else join(self);
