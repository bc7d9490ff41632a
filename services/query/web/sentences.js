// Events as sentences that a person reads.
import { sayAmount, sayCapacity, DIMENSIONS } from "./capacity.js";
import { many } from "./lib.js";
import { isOpen } from "./me.js";
import { sayMember } from "./people.js";
import { sayInstant, sayPeriod } from "./time.js";

const percent = (points) => `${points / 100}%`;
const held = (event, capacity = event.capacity, share = event.share) =>
  share ? `${percent(share)} of ${event.pool}` : event.template
    ? `${event.template.count ?? 1} × ${event.template.name} (${sayCapacity(capacity)})` : sayCapacity(capacity);
const tentatively = (event) => (event.tentative ? " tentatively" : "");
const nodes = (layout) => {
  if (!layout) return "";
  const said = [
    [layout.mastercount, "master", layout.masterflavor], [layout.workercount, "worker", layout.workerflavor],
    ...(layout.groups ?? []).map(({ count, name, flavor }) => [count, `${name} node`, flavor]),
  ].filter(([count]) => count).map(([count, one, flavor]) => many(count, one) + (flavor ? ` of ${flavor}` : ""));
  return said.length ? ` (${said.join(", ")})` : "";
};
const policy = (overcommit) => (!overcommit || overcommit === "never" ? "never over-committed"
  : `over-commit allowed beyond ${many(overcommit.beyond_hours, "hour")}`);

function limits({ capacity, monthly_hours: monthly, ahead_hours: ahead, duration_hours: duration } = {}) {
  const said = [
    capacity && `at most ${sayCapacity(capacity)} at once`,
    monthly && `${DIMENSIONS.filter(({ name }) => name in monthly).map(({ name }) => `${sayAmount(monthly[name], name)} × hours`)
      .join(", ")} a month`,
    ahead && `booked at most ${many(ahead, "hour")} ahead`, duration && `for at most ${many(duration, "hour")}`,
  ].filter(Boolean);
  return said.length ? said.join("; ") : "no limits";
}

const SENTENCES = {
  ProjectCreated: (e) => `opened the project ${e.project} (“${e.name}”), ${policy(e.overcommit)}`,
  GrantCreated: (e, when) =>
    `granted ${e.project} ${sayCapacity(e.capacity)}, ${when(e.start, e.end)}${e.source ? `, from ${e.source}` : ""}`,
  GrantWithdrawn: (e, when) => `withdrew ${sayCapacity(e.capacity)} from ${e.project}, ${when(e.start, e.end)}`,
  ClusterCreated: (e, when) =>
    `made the ${e.kind} ${e.cluster}${tentatively(e)} of ${sayCapacity(e.capacity)}${nodes(e.layout)}, ${when(e.start, e.end)}`,
  ClusterResized: (e, when) =>
    `${e.lapsed ? "cut back" : "resized"} ${e.cluster} to ${sayCapacity(e.capacity)}${nodes(e.layout)}`
    + `${tentatively(e)}, ${when(e.start, e.end)}`,
  ClusterConfirmed: (e) => `confirmed the cluster ${e.cluster}: its hours have what it takes`,
  ClusterResizeRequested: (e, when) =>
    `asked to resize ${e.cluster} to ${sayCapacity(e.capacity)}${nodes(e.layout)}, ${when(e.start, e.end)}`,
  ClusterResizeFailed: (e) => `noted that a resize of ${e.cluster} failed: ${e.error}`,
  TemplateCreated: (e) => `defined the template ${e.template}, version ${e.version}: ${sayCapacity(e.capacity)}`,
  AccountCreated: (e) => `opened the account ${e.account} in ${e.project}: ${limits(e.limits)}`,
  AccountLimitsSet: (e) => `set the limits of ${e.account}: ${limits(e.limits)}`,
  AccountClosed: (e) => `closed the account ${e.account} of ${e.project}`,
  AccountMemberAdded: (e) => `added ${sayMember(e.member)} to the account ${e.account} of ${e.project}`,
  AccountMemberRemoved: (e) => `took ${sayMember(e.member)} out of the account ${e.account} of ${e.project}`,
  RoleGranted: (e) => `gave ${sayMember(e.member)} the role ${e.role} on ${e.pool}`,
  RoleRevoked: (e) => `took the role ${e.role} on ${e.pool} from ${sayMember(e.member)}`,
  SeriesCreated: (e) => `booked ${e.pool} for ${e.account} again and again (${e.rrule})`
    + (e.skipped?.length ? `, ${many(e.skipped.length, "time")} left out` : ""),
  BookingCreated: (e, when) =>
    `booked ${held(e)} of ${e.pool}${tentatively(e)} for ${e.account}, ${when(e.start, e.end)}`
      .replace(` of ${e.pool} of ${e.pool}`, ` of ${e.pool}`),
  BookingAmended: (e, when) =>
    `changed a booking of ${e.account} in ${e.pool}${tentatively(e)}: now ${held(e)}, ${when(e.start, e.end)}`
    + ` (before: ${held({ ...e, template: null }, e.from_capacity, e.from_share)}, ${when(e.from_start, e.from_end)})`,
  BookingCancelled: (e, when) =>
    `cancelled a booking: ${held(e)} of ${e.pool} given back, ${when(e.start, e.end)}`
      .replace(` of ${e.pool} of ${e.pool}`, ` of ${e.pool}`),
  BookingLapsed: (e, when) => `let a tentative booking in ${e.pool} lapse: ${held(e)}, ${when(e.start, e.end)}`,
  BookingConfirmed: (e) => `confirmed a booking in ${e.pool}: its hours have what it holds`,
  TermBegan: (e) => `began a term: another primary of PostgreSQL takes the events, on timeline ${e.timeline}`,
  BookingContested: (e) => `made a booking in ${e.pool} tentative: capacity that it relied on was withdrawn`,
};

export const EVENT_TYPES = Object.keys(SENTENCES);

/** "Ada booked 4 cores of gaia for spark, Tue 24 Nov". Without the actor where that is said beside it. */
export function sentence(event, zone, { withActor = true } = {}) {
  const when = (start, end) => sayPeriod(Date.parse(start), Date.parse(end), zone);
  const said = SENTENCES[event.type]?.(event, when) ?? `recorded ${event.type}`;
  return `${withActor ? `${named(event.actor)} ` : ""}${said}${event.reason ? `: “${event.reason}”` : ""}.`;
}

const INSTANT = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g;
const COMMANDS = {
  CreateProject: "open the project", CreateGrant: "grant capacity to", WithdrawGrant: "withdraw a grant of",
  CreateCluster: "make a cluster in", ResizeCluster: "resize a cluster of", RequestResize: "ask for a resize in",
  ApplyResize: "apply a resize in", FailResize: "note a failed resize in", CreateTemplate: "define a template of",
  CreateAccount: "open an account in", SetLimits: "set an account’s limits in", CloseAccount: "close an account of",
  CreateBooking: "book", CreateExclusive: "book a cluster of its own in", CreateSeries: "book again and again in",
  AmendBooking: "change a booking in", CancelBooking: "cancel a booking in",
  GrantRole: "give a role in", RevokeRole: "take a role in", AddAccountMember: "add a member to an account of",
  RemoveAccountMember: "take a member out of an account of",
  AskLease: "have a lease of Blazar in", EndLease: "end a lease of Blazar in",
  AmendSeries: "change a recurring booking in", CancelSeries: "cancel a recurring booking in",
};

/** "Ada tried to change a booking in gaia: …", of what was refused. */
export function refusalSentence({ command, project, detail, reason }, zone) {
  const why = detail.replace(/\.$/, "").replace(INSTANT, (instant) => sayInstant(Date.parse(instant), zone));
  return `tried to ${COMMANDS[command] ?? `do ${command} in`} ${project}${reason ? ` (“${reason}”)` : ""}: ${why}.`;
}

/** Who acted, as people call them. */
export function named(actor) {
  if (actor === "anonymous") return "Somebody";
  return isOpen() || !actor.includes(":") ? decoded(actor) : sayMember(actor);
}

export const PROOFS = { oidc: "OpenID Connect", keystone: "Keystone", token: "a token" };

/** How it was proven who acted: "proven by Keystone", "not proven". The ledger's own clock needs no proof. */
export const sayProof = ({ actor, auth }) => (auth ? `proven by ${PROOFS[auth] ?? auth}` : actor === "hourbook" ? "" : "not proven");

function decoded(name) {
  try {
    return /%[0-9A-F]{2}/.test(name) ? decodeURIComponent(name) : name;
  } catch {
    return name;
  }
}

/** "ClusterResizeRequested" is "Cluster resize requested". */
export const sayType = (type) => type[0] + type.slice(1).replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

