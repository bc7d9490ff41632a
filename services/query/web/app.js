// The page: what is around the views, and which of them is shown.
import { follow, go, useAddress, zoneCannotBeShown, zoneOf } from "./address.js";
import { actor, projectOf, setActor } from "./api.js";
import { html, render, useEffect, useState } from "./lib.js";
import { connect, useAnswer, useMoved, useTold } from "./live.js";
import { sentence } from "./sentences.js";
import { chooseTheme, useTheme } from "./theming.js";
import { UTC, VIEWER_ZONE, sayZone } from "./time.js";
import { AsOf } from "./views/as-of.js";
import { Bookings } from "./views/bookings.js";
import { Calendar } from "./views/calendar.js";
import { Chain } from "./views/chain.js";
import { Conflicts } from "./views/conflicts.js";
import { History } from "./views/history.js";
import { Said } from "./views/parts.js";
import { Setup } from "./views/setup.js";
import { Start } from "./views/start.js";
import { Tree } from "./views/tree.js";

const VIEWS = [
  ["calendar", "Calendar", Calendar], ["bookings", "Bookings", Bookings], ["conflicts", "Conflicts", Conflicts],
  ["history", "History", History], ["setup", "Set up", Setup],
];

function Page() {
  const address = useAddress();
  const { data, problem } = useAnswer("/pools", { limit: 10_000 });
  const pools = data?.pools ?? [];
  // A link's pool is asked about at once; whether it is there, the list of pools says a moment later.
  const known = !data || pools.some(({ id }) => id === address.pool);
  const pool = known ? address.pool : pools[0]?.id ?? "";
  const early = address.view === "calendar" && pool;
  const shown = { ...address, pool };
  const project = pool && projectOf(pool);
  const templates = useAnswer(project && "/templates", { project }).data?.templates ?? [];
  const names = [...new Set(templates.map(({ name }) => name))];
  useEffect(() => { document.title = `${pool ? `${pool} · ` : ""}Hourbook`; }, [pool]);
  const View = VIEWS.find(([name]) => name === address.view)[2];
  return html`
    <a class="skip" href="#main">To the content</a>
    <${Top} address=${shown} />
    ${address.as_of && address.view !== "history" && html`<${AsOf} address=${shown} />`}
    <div class="body">
      ${pools.length > 0 && html`<${Tree} pools=${pools} address=${shown} />`}
      <main id="main" tabindex="-1">
        ${problem ? html`<${Said} problem=${problem} />`
          : !data && !early ? html`<div class="waiting" aria-busy="true"></div>`
          : data && !pools.length && !["setup", "history"].includes(address.view) ? html`<${Start} />`
          : html`<${View} address=${shown} pools=${pools} templates=${names} />`}
      </main>
    </div>
    <${Bottom} address=${shown} />
    <${Toasts} address=${shown} />`;
}

function Top({ address }) {
  const theme = useTheme();
  const zone = zoneOf(address);
  const [name, setName] = useState(actor);
  const other = zone === UTC ? "" : UTC;
  return html`
    <header class="top">
      <a class="brand" ...${follow({ view: "calendar" })}><svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
          <rect x="1" y="1" width="8" height="8" rx="2" class="b1" /><rect x="11" y="1" width="8" height="8" rx="2" class="b2" />
          <rect x="1" y="11" width="8" height="8" rx="2" class="b3" /><rect x="11" y="11" width="8" height="8" rx="2" class="b4" />
        </svg> Hourbook</a>
      <nav class="views" aria-label="Views">${VIEWS.map(([id, label]) => html`
        <a key=${id} ...${follow({ view: id, booking: "", form: "" })}
          aria-current=${id === address.view ? "page" : undefined}>${label}</a>`)}</nav>
      <div class="top-right">
        <label class="who"><span class="hidden">Your name, kept in the history</span>
          <input value=${name} placeholder="Your name" maxlength="200" autocomplete="off"
            onInput=${(event) => { setName(event.target.value); setActor(event.target.value); }} /></label>
        <button type="button" class="quiet" title="Switch the zone in which times are shown"
          disabled=${zoneCannotBeShown && !address.tz} onClick=${() => go({ tz: other })}
          aria-label=${`Times are in ${sayZone(zone)}. ${zone === UTC ? `Show ${sayZone(VIEWER_ZONE)}` : "Show UTC"}`}>
            ${sayZone(zone)}</button>
        <button type="button" class="quiet icon" aria-label=${theme === "dark" ? "Light colours" : "Dark colours"}
          onClick=${() => chooseTheme(theme === "dark" ? "light" : "dark")}>
          <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="10" cy="10" r="7" class="ring" />
            <path d="M10 3a7 7 0 0 1 0 14z" class="half" /></svg></button>
      </div>
    </header>`;
}

function Bottom({ address }) {
  const { connection } = useMoved();
  const { data: health } = useAnswer("/health");
  return html`
    <footer class="bottom">
      <span class=${`live ${connection}`}>${connection === "live" ? "Live" : connection === "lost"
        ? "Not connected, trying again" : "Connecting"}</span>
      ${health && html`<span>Position ${health.position.toLocaleString("en")}</span>`}
      <${Chain} position=${health?.position} />
      ${zoneCannotBeShown && html`<span>Times are in UTC: ${sayZone(VIEWER_ZONE)} is not whole hours off it.</span>`}
      <span class="far">${!address.as_of && html`<a ...${follow({ as_of: String(health?.position ?? 1) })}>Look back in time</a>`}
        ${" "}<a href="schema">HTTP interface</a></span>
    </footer>`;
}

const TOAST_MS = 6000;

/** What others do, as it happens. */
function Toasts({ address }) {
  const [told, setTold] = useState([]);
  useTold(({ position, event }) => {
    if (event.actor === actor() || event.project !== projectOf(address.pool || "")) return;
    setTold((before) => [...before.slice(-2), { position, event }]);
    setTimeout(() => setTold((before) => before.filter((one) => one.position !== position)), TOAST_MS);
  });
  return html`<div class="toasts" role="status" aria-live="polite">${told.map(({ position, event }) => html`
    <p key=${position}>${sentence(event, zoneOf(address))}</p>`)}</div>`;
}

connect();
render(html`<${Page} />`, document.getElementById("page"));
