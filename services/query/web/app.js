// The page: what is around the views, and which of them is shown.
import { follow, go, useAddress, zoneCannotBeShown, zoneOf } from "./address.js";
import { projectOf } from "./api.js";
import { html, render, useEffect, useState } from "./lib.js";
import { connect, useAnswer, useMoved, useTold, withoutStream } from "./live.js";
import { can, canEverywhere, canSomewhere, look, ownActor, useIdentity } from "./me.js";
import { useNames } from "./people.js";
import { usePools } from "./pools.js";
import { sentence } from "./sentences.js";
import { chooseTheme, useTheme } from "./theming.js";
import { UTC, VIEWER_ZONE, sayZone } from "./time.js";
import { Accounts } from "./views/accounts.js";
import { AsOf } from "./views/as-of.js";
import { Bookings } from "./views/bookings.js";
import { Calendar } from "./views/calendar.js";
import { Chain } from "./views/chain.js";
import { Conflicts } from "./views/conflicts.js";
import { Free } from "./views/free.js";
import { History } from "./views/history.js";
import { NeedsPanel } from "./views/needs.js";
import { Said } from "./views/parts.js";
import { Setup } from "./views/setup.js";
import { Again, SignedOut, Welcome } from "./views/sign-in.js";
import { NoRole, Start } from "./views/start.js";
import { Tree } from "./views/tree.js";
import { Who } from "./views/who.js";

const VIEWS = [
  ["calendar", "Calendar", Calendar], ["free", "Where is it free", Free], ["bookings", "Bookings", Bookings],
  ["accounts", "Accounts", Accounts],
  ["conflicts", "Conflicts", Conflicts], ["history", "History", History], ["setup", "Set up", Setup],
];
const WITH_NAMES = {
  bookings: "Seeing who holds what", accounts: "Seeing accounts", conflicts: "Seeing conflicts", history: "Reading the history",
};

/** A stranger sees how to sign in. Everybody else sees what they may. */
function Page() {
  const { stage, me, ways, problem, atIssuer } = useIdentity();
  useNames();
  if (me) return html`${stage === "ended" && html`<${Again} ways=${ways} problem=${problem} />`}<${Ledger} signedIn=${stage === "in"} />`;
  return html`
    <header class="top"><${Brand} /><div class="top-right"><${Colours} /></div></header>
    <div class="body"><main id="main" tabindex="-1">
      ${stage === "stranger" ? html`<${Welcome} ways=${ways} problem=${problem} />`
        : stage === "out" ? html`<${SignedOut} atIssuer=${atIssuer} />`
        : problem ? html`<${Said} problem=${problem} />` : html`<div class="waiting" aria-busy="true"></div>`}
    </main></div>`;
}

/** Follows the events, if one may see any. */
function useLive(signedIn) {
  const streams = signedIn && canSomewhere("names");
  useEffect(() => (streams ? connect(look) : withoutStream(signedIn ? "polling" : "ended")), [streams, signedIn]);
}

function Ledger({ signedIn }) {
  const address = useAddress();
  useLive(signedIn);
  const { pool, pools, many, ready, problem } = usePools(address);
  const early = ["calendar", "free"].includes(address.view) && pool;
  const shown = { ...address, pool };
  const project = pool && projectOf(pool);
  const withNames = !pool || (address.view === "history" ? canSomewhere("names")
    : can("names", address.view === "accounts" ? project : pool));
  const templates = useAnswer(project && "/templates", { project, limit: 1000 }).data?.templates ?? [];
  const names = [...new Set(templates.map(({ name }) => name))];
  useEffect(() => { document.title = `${pool ? `${pool} · ` : ""}Hourbook`; }, [pool]);
  const View = VIEWS.find(([name]) => name === address.view)[2];
  return html`
    <a class="skip" href="#main">To the content</a>
    <${Top} address=${shown} withNames=${withNames && (pool ? can("names", pool) : canSomewhere("names"))} />
    ${address.as_of && address.view !== "history" && html`<${AsOf} address=${shown} />`}
    <div class="body">
      ${pools.length > 0 && html`<${Tree} pools=${pools} many=${many} address=${shown} />`}
      <main id="main" tabindex="-1">
        ${problem ? html`<${Said} problem=${problem} />`
          : !ready && !early ? html`<div class="waiting" aria-busy="true"></div>`
          : ready && !pools.length && !["setup", "history"].includes(address.view)
            ? html`<${canEverywhere("administer") ? Start : NoRole} />`
          : WITH_NAMES[address.view] && !withNames
            ? html`<${NeedsPanel} right="names" pool=${pool} what=${WITH_NAMES[address.view]} />`
          : html`<${View} address=${shown} pools=${pools} templates=${names} />`}
      </main>
    </div>
    <${Bottom} address=${shown} />
    <${Toasts} address=${shown} />`;
}

const Brand = () => html`
  <a class="brand" ...${follow({ view: "calendar" })}><svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <rect x="1" y="1" width="8" height="8" rx="2" class="b1" /><rect x="11" y="1" width="8" height="8" rx="2" class="b2" />
      <rect x="1" y="11" width="8" height="8" rx="2" class="b3" /><rect x="11" y="11" width="8" height="8" rx="2" class="b4" />
    </svg> Hourbook</a>`;

function Colours() {
  const theme = useTheme();
  return html`
    <button type="button" class="quiet icon" aria-label=${theme === "dark" ? "Light colours" : "Dark colours"}
      onClick=${() => chooseTheme(theme === "dark" ? "light" : "dark")}>
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="10" cy="10" r="7" class="ring" />
        <path d="M10 3a7 7 0 0 1 0 14z" class="half" /></svg></button>`;
}

function Top({ address, withNames }) {
  const zone = zoneOf(address);
  const other = zone === UTC ? "" : UTC;
  const offered = (id) => !WITH_NAMES[id] || (withNames && (id !== "accounts" || !address.pool || can("names", projectOf(address.pool))));
  return html`
    <header class="top">
      <${Brand} />
      <nav class="views" aria-label="Views">${VIEWS.filter(([id]) => offered(id)).map(([id, label]) => html`
        <a key=${id} ...${follow({ view: id, booking: "", account: "", form: "" })}
          aria-current=${id === address.view ? "page" : undefined}>${label}</a>`)}</nav>
      <div class="top-right">
        <${Who} />
        <button type="button" class="quiet" title="Switch the zone in which times are shown"
          disabled=${zoneCannotBeShown && !address.tz} onClick=${() => go({ tz: other })}
          aria-label=${`Times are in ${sayZone(zone)}. ${zone === UTC ? `Show ${sayZone(VIEWER_ZONE)}` : "Show UTC"}`}>
            ${sayZone(zone)}</button>
        <${Colours} />
      </div>
    </header>`;
}

const CONNECTIONS = {
  live: "Live", lost: "Not connected, trying again", polling: "Looks every 5 seconds", connecting: "Connecting",
  ended: "Not signed in",
};

function Bottom({ address }) {
  const { connection } = useMoved();
  const { data: health } = useAnswer("/health");
  return html`
    <footer class="bottom">
      <span class=${`live ${connection}`}>${CONNECTIONS[connection]}</span>
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
    if (event.actor === ownActor() || event.project !== projectOf(address.pool || "")) return;
    setTold((before) => [...before.slice(-2), { position, event }]);
    setTimeout(() => setTold((before) => before.filter((one) => one.position !== position)), TOAST_MS);
  });
  return html`<div class="toasts" role="status" aria-live="polite">${told.map(({ position, event }) => html`
    <p key=${position}>${sentence(event, zoneOf(address))}</p>`)}</div>`;
}

render(html`<${Page} />`, document.getElementById("page"));
