// What somebody sees who comes first.
import { html } from "../lib.js";
import { ProjectSetup } from "./setup-project.js";
import { me } from "../me.js";
import { ownName } from "./who.js";
import { VIEWER_ZONE } from "../time.js";

export function Start() {
  return html`
    <div class="empty start">
      <h1>Nothing is here yet. Three steps, and it is:</h1>
      <ol><li><b>A project</b>: whose capacity it is.</li><li><b>A grant</b>: how much of it there is, from when until when.</li>
        <li><b>A booking</b>: drag over the calendar, and hold the hours you need.</li></ol>
      <${ProjectSetup} zone=${VIEWER_ZONE} />
    </div>`;
}

/** What somebody sees who has signed in, and has no role yet. */
export function NoRole() {
  return html`
    <section class="empty" aria-label="No role yet">
      <h1>You have no role yet, ${ownName()}.</h1>
      <p>You see a project here as soon as one of its admins gives you a role on it. They need your id:</p>
      <p><code>${me().id}</code></p>
    </section>`;
}
