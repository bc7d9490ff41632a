// For which account somebody books: any that a manager knows, or those to which the person belongs.
import { asName, projectOf } from "../api.js";
import { html } from "../lib.js";
import { useAnswer } from "../live.js";
import { can, isOpen, me, ownAccounts } from "../me.js";
import { Field } from "./parts.js";
import { ownName } from "./who.js";

const OFFERED = 1000;

/**
 * {any, names}: `any` name may be given; `names` are those that are offered. One's own id is an account, too, while the
 * project lists no accounts, or where it lists the id. Null while that is not known.
 */
export function useAccounts(pool) {
  const project = projectOf(pool);
  const lists = can("names", project);
  const { data, problem } = useAnswer(lists && "/accounts", { project, limit: OFFERED });
  const listed = (data?.accounts ?? []).filter(({ closed }) => !closed).map(({ account }) => account);
  if (isOpen() || can("manage", pool)) return { any: true, names: listed };
  if (lists && !data && !problem) return null;
  const own = me().id;
  const known = (name) => !listed.length || data.next || listed.some((one) => asName(one) === asName(name));
  return { any: false, names: [...ownAccounts(project), own].filter(known) };
}

/** Where there is one account to choose from, it is chosen. */
export const firstAccount = (accounts) => (accounts && !accounts.any ? accounts.names[0] ?? "" : "");

const sayAccount = (name) => (name === me().id ? `Yourself (${ownName()})` : name);

export function AccountField({ pool, accounts, value, wrong, onChange }) {
  const changed = (event) => onChange(event.target.value);
  if (accounts && !accounts.any && !accounts.names.length) return html`
    <p class="needs">You belong to no account of <b>${projectOf(pool)}</b>. <span class="hint">A manager can add you to one.</span></p>`;
  if (accounts?.any) return html`
    <${Field} label="Account" wrong=${wrong}>
      ${(field) => html`<input ...${field} name="account" required maxlength="200" list="accounts" autocomplete="off" value=${value}
        placeholder="Who books" onInput=${changed} />`}<//>
    <datalist id="accounts">${accounts.names.map((name) => html`<option key=${name} value=${name} />`)}</datalist>`;
  return html`
    <${Field} label="Account" wrong=${wrong} hint="The accounts of which you are a member.">
      ${(field) => html`<select ...${field} name="account" required value=${value} onChange=${changed}>
        ${(accounts?.names ?? []).map((name) => html`<option key=${name} value=${name}>${sayAccount(name)}</option>`)}</select>`}<//>`;
}
