import { go } from "../address.js";
import { html, useState } from "../lib.js";
import { CommandForm } from "./command-form.js";
import { Field } from "./parts.js";

/** "Gaia science platform" becomes "gaia-science-platform". */
export const slugOf = (name) =>
  name.normalize("NFKD").toLowerCase().replace(/[\u0300-\u036f]/g, "").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63);

export function ProjectSetup({ zone }) {
  const [name, setName] = useState("");
  const [id, setId] = useState(null);
  const [beyond, setBeyond] = useState("");
  const slug = id ?? slugOf(name);
  const body = name.trim() && slug
    ? { id: slug, name: name.trim(), overcommit: Number(beyond) > 0 ? { beyond_hours: Number(beyond) * 24 } : "never" } : null;
  return html`
    <${CommandForm} title="New project" hint="A project is what capacity is granted to, and what accounts book from."
      path="/projects/create" body=${body} zone=${zone}
      action="Create the project" done="The project is there." onDone=${() => go({ view: "setup", pool: slug, form: "grant" })}>
      ${(wrong) => html`
        <${Field} label="Name" wrong=${wrong.name}>
          ${(field) => html`<input ...${field} name="name" required maxlength="200" value=${name}
            onInput=${(event) => setName(event.target.value)} />`}<//>
        <${Field} label="Short name" wrong=${wrong.id} hint="Lower-case letters, digits and hyphens. It stays for ever.">
          ${(field) => html`<input ...${field} name="id" required pattern="[a-z0-9][a-z0-9\\-]{0,62}" value=${slug}
            onInput=${(event) => setId(event.target.value)} />`}<//>
        <${Field} label="Over-commit" wrong=${wrong.overcommit}
          hint="Far-off hours may be promised more than they have, if it is settled before they come near.">
          ${(field) => html`<select ...${field} value=${beyond} onChange=${(event) => setBeyond(event.target.value)}>
            <option value="">never</option>
            ${[7, 14, 28].map((days) => html`<option key=${days} value=${days}>hours more than ${days} days off</option>`)}</select>`}<//>`}
    <//>`;
}
