// What was refused, in words: who tried what, and why not.
import { zoneOf } from "../address.js";
import { html, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { named, refusalSentence } from "../sentences.js";
import { Days, Empty, Said } from "./parts.js";

const PAGE = 60;

export function Refusals({ address, project, actor }) {
  const [pages, setPages] = useState(1);
  const zone = zoneOf(address);
  const sought = { project, actor, as_of: address.as_of };
  const given = Object.fromEntries(Object.entries(sought).filter(([, value]) => value));
  const { data, old, problem } = useAnswer("/refusals", { order: "newest", limit: pages * PAGE, ...given });
  const answer = data ?? old;
  if (problem) return html`<${Said} problem=${problem} />`;
  if (!answer) return html`<div class="waiting" aria-busy="true"></div>`;
  if (!answer.refusals.length) return html`<${Empty} title="Nothing that fits was refused.">
    <p>Whoever asks for more than there is finds it here, with the reason.</p><//>`;
  const told = answer.refusals.map((refusal) => ({ ...refusal, key: refusal.id }));
  return html`<${Days} told=${told} zone=${zone}
    say=${(refusal) => html`<span class="what"><b>${named(refusal.actor)}</b> ${refusalSentence(refusal, zone)}</span>`}>
    ${answer.next != null && html`<button type="button" onClick=${() => setPages(pages + 1)}>Earlier</button>`}<//>`;
}
