// Ways to sign in: for a stranger, and for somebody whose session has ended.
import { useAttempt } from "../command.js";
import { html, useState } from "../lib.js";
import { signInWith } from "../me.js";
import { Field, Said } from "./parts.js";

/** The page of a stranger. It tells nothing of any project. */
export function Welcome({ ways, problem }) {
  return html`
    <section class="empty welcome" aria-label="Sign in">
      <h1>Hourbook</h1>
      <p>The booking ledger of shared compute: see how much is free hour by hour, book it, and trust what was decided.</p>
      <h2>Sign in to see it</h2>
      ${problem && html`<${Said} problem=${problem} />`}
      <${Ways} ways=${ways} />
    </section>`;
}

/** After the sign-out, where the issuer still knows the person. */
export function SignedOut({ atIssuer }) {
  return html`
    <section class="empty" aria-label="Signed out" role="status">
      <h1>You are signed out here.</h1>
      <p>At the place where you signed in, you still are. <a href=${atIssuer}>Sign out there, too</a></p>
      <p><a href=".">Sign in again</a></p>
    </section>`;
}

/** Above an open page whose session has ended. All that was typed stays, and goes on after the sign-in. */
export function Again({ ways, problem }) {
  return html`
    <section class="again" role="alert" aria-label="Sign in again">
      <p><b>Your session has ended.</b> Sign in again; what you have typed stays here, and what you have sent goes on.</p>
      ${problem && html`<${Said} problem=${problem} />`}
      <${Ways} ways=${ways} again />
    </section>`;
}

/** `again`: in a window beside this one, which then goes on by itself. */
export function Ways({ ways, again = false }) {
  const linked = ways.filter(({ href }) => href);
  const beside = again && linked.length > 0;
  return html`
    <div class="ways-in">
      ${linked.map((way) => html`<a key=${way.href} class="button primary" href=${hrefOf(way, again)}
        ...${again ? { target: "_blank" } : {}}>Sign in with ${way.title ?? way.name}</a>`)}
      ${beside && html`<p class="hint">That opens a new window. When you have signed in there, come back to this one.</p>`}
      ${ways.some(({ kind }) => kind === "token") && html`<${WithToken} open=${!linked.length} />`}
      ${!ways.length && html`<p class="hint">No way to sign in on this page is set up. Ask the operator.</p>`}
    </div>`;
}

/** After the sign-in, the page is the same again. A window beside it needs none. */
const hrefOf = ({ href }, again) =>
  `${href}?${new URLSearchParams({ to: again ? location.pathname : `${location.pathname}${location.search}` })}`;

function WithToken({ open }) {
  const [token, setToken] = useState("");
  const { busy, problem, attempt } = useAttempt();
  const submit = (event) => {
    event.preventDefault();
    attempt(async () => {
      await signInWith(token.trim());
      setToken("");
    });
  };
  return html`
    <details open=${open}><summary>With a token</summary>
      <form class="form" onSubmit=${submit}>
        <${Field} label="Token" hint="A token of Hourbook (hbk_…), of an issuer, or of Keystone. This browser does not keep it.">
          ${(field) => html`<input ...${field} type="password" required autocomplete="off" spellcheck=${false} value=${token}
            onInput=${(event) => setToken(event.target.value)} />`}<//>
        ${problem && html`<${Said} problem=${problem} />`}
        <div class="buttons"><button class="primary" disabled=${busy || !token.trim()}>Sign in with the token</button></div>
      </form>
    </details>`;
}
