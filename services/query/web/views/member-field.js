// A person or a group, as roles and accounts name them: `<issuer>:<subject>` or `group:<issuer>:<group>`.
import { html, useEffect, useState } from "../lib.js";
import { get } from "../api.js";
import { me } from "../me.js";
import { nameOf } from "../people.js";
import { Field, Segmented } from "./parts.js";

const MEMBER = /^(group:)?[a-z0-9][a-z0-9-]{0,30}:\S.*$/;

export const emptyMember = () => ({ kind: "person", issuer: "", text: "" });

/** What the fields hold, as a member; empty while something is missing. A whole member may be typed, too. */
export function memberOf({ kind, issuer, text }) {
  const typed = text.trim();
  if (!typed) return "";
  if (MEMBER.test(typed) && (!issuer || typed.startsWith(`${issuer}:`) || typed.startsWith("group:"))) return typed;
  return issuer ? `${kind === "group" ? "group:" : ""}${issuer}:${typed}` : "";
}

/** The names of the issuers that people can be from. */
function useIssuers() {
  const [issuers, setIssuers] = useState([]);
  useEffect(() => {
    let wanted = true;
    const own = me().id.split(":")[0];
    get("/sign-in/ways").then(({ ways }) => {
      const named = ways.filter(({ name }) => name).map(({ name, title }) => ({ name, title: title ?? name }));
      const known = named.some(({ name }) => name === own) || me().auth === "token" ? named : [{ name: own, title: own }, ...named];
      if (wanted) setIssuers(known);
    }, () => wanted && setIssuers([{ name: own, title: own }]));
    return () => { wanted = false; };
  }, []);
  return issuers;
}

/** `known` are members that are offered while an id is typed. */
export function MemberFields({ member, onChange, known = [], wrong }) {
  const issuers = useIssuers();
  const issuer = member.issuer || issuers[0]?.name || "";
  const set = (changes) => onChange({ ...member, issuer, ...changes });
  const offered = [...new Set(known)].filter((one) => one && one.startsWith("group:") === (member.kind === "group"));
  const group = member.kind === "group";
  return html`
    <fieldset class="amount member"><legend>Who</legend>
      <${Segmented} label="A person or a group" value=${member.kind} options=${[["person", "A person"], ["group", "A group"]]}
        onPick=${(kind) => set({ kind })} />
      <div class="counts">
        ${issuers.length > 1 && html`<${Field} label="Who signs in by">
          ${(field) => html`<select ...${field} value=${issuer} onChange=${(event) => set({ issuer: event.target.value })}>
            ${issuers.map(({ name, title }) => html`<option key=${name} value=${name}>${title}</option>`)}</select>`}<//>`}
        <${Field} label=${group ? "Group" : "Id"} wrong=${wrong} class=${issuers.length > 1 ? "wide" : "all"}
          hint=${group ? `The name of the group, as ${issuer || "the issuer"} spells it.`
            : "People find their id under their name, at the top right of this page."}>
          ${(field) => html`<input ...${field} name="member" required maxlength="255" list="members" autocomplete="off" spellcheck=${false}
            value=${member.text} onInput=${(event) => set({ text: event.target.value })} />`}<//>
      </div>
      <datalist id="members">${offered.map((one) => html`<option key=${one} value=${one}>${nameOf(one) ?? one}</option>`)}</datalist>
    </fieldset>`;
}
