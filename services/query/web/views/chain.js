// How far the history is sealed: the newest signed checkpoint names the number of events that its tree holds.
import { get } from "../api.js";
import { html, useEffect, useRef, useState } from "../lib.js";

const SEALED_AFTER_MS = 1500; // an event is sealed within a second

export function Chain({ position }) {
  const [size, setSize] = useState(null);
  const waiting = useRef(null);
  useEffect(() => {
    if (!position || waiting.current) return;
    waiting.current = setTimeout(async () => {
      waiting.current = null;
      const note = await get("/audit/checkpoint").catch(() => "");
      setSize(Number(note.split("\n")[1]) || null); // C2SP tlog-checkpoint: the origin, the size, the root
    }, SEALED_AFTER_MS);
  }, [position]);
  return size && html`<span title="A signed Merkle tree holds every event up to here: none can be changed unseen.">
    <a href="audit/checkpoint">Verified to position ${size.toLocaleString("en")}</a></span>`;
}
