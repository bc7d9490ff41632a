// Books, reads and pages with openapi-fetch and the types that openapi-typescript makes (docs/clients.md).
//
// HOURBOOK_URL=http://127.0.0.1:8080 node book.ts gaia

import createClient from "openapi-fetch";
import type { components, paths } from "./hourbook.ts";

type Schemas = components["schemas"];

const days = { startdate: "2030-06-03", enddate: "2030-06-09" }; // bare dates: both days belong to the period
const week = `${days.startdate},${days.enddate}`;

/** The answer is a problem document (RFC 9457). `problem.code` is for programs, `problem.detail` for people. */
class Refused extends Error {
  readonly problem: Schemas["Problem"];

  constructor(problem: Schemas["Problem"]) {
    super(`${problem.code}: ${problem.detail}`);
    this.problem = problem;
  }
}

/** A client. Where people sign in, a program needs a token. */
function signedIn(baseUrl: string, token: string | undefined) {
  return createClient<paths, "application/json" | "application/problem+json">({ baseUrl, ...(token && { headers: { Authorization: `Bearer ${token}` } }) });
}

type Client = ReturnType<typeof signedIn>;

/** The data of an answer. Throws Refused. */
function done<T>({ data, error }: { data?: T; error?: Schemas["Problem"] }): T {
  if (error !== undefined) throw new Refused(error);
  if (data === undefined) throw new Error("an answer without a body");
  return data;
}

/** The outcome of a command; a dry run has none. */
function decided(answer: { data?: Schemas["Outcome"] | Schemas["Previewed"]; error?: Schemas["Problem"] }) {
  const data = done(answer);
  if ("dry_run" in data) throw new Error("this was a dry run");
  return data;
}

/** The header of a command. One that is sent again with the same key is carried out once. */
const once = (key: string) => ({ header: { "Idempotency-Key": key } });

/** Makes a project, its grant and a cluster. Returns the id of the cluster. The program may run again. */
async function prepare(client: Client, project: string): Promise<string> {
  const made = { id: project, name: project };
  decided(await client.POST("/projects/create", { body: made, params: once(`${project}-project`) }));
  const grant = { project, cores: 64, ...days };
  decided(await client.POST("/resources/create", { body: grant, params: once(`${project}-grant`) }));
  const cluster = { parent: project, name: "spark", cores: 16, ...days };
  return decided(await client.POST("/clusters/create", { body: cluster, params: once(`${project}-spark`) })).id;
}

/** Books cores of the cluster for the week. Throws Refused if there are too few. */
async function book(client: Client, clusterid: string, account: string, cores: number) {
  const body = { clusterid, account, cores, ...days };
  return decided(
    await client.POST("/bookings/create", { body, params: once(`${clusterid}-${account}-${cores}`) }),
  );
}

/** Each day of the week, with the cores that are free all day. The answer shows the event at `min_position`. */
async function freeByDay(client: Client, clusterid: string, min_position: number): Promise<[string, number][]> {
  const query = { clusterid, range: week, min_position };
  const { blocks = [] } = done(await client.GET("/available/select", { params: { query } }));
  return blocks.map((block) => [block.start.slice(0, 10), block.available?.min.cores ?? 0]);
}

/** The same as one list of numbers: better for many blocks. */
async function freeInColumns(client: Client, clusterid: string, min_position: number): Promise<number[]> {
  const query = { clusterid, range: week, shape: "columns", dimensions: "cores", min_position };
  const { columns } = done(await client.GET("/available/select", { params: { query } }));
  return columns?.available?.cores?.min ?? [];
}

type BookingPage = Pick<Schemas["TreeBookings"], "items" | "next">;

/** All bookings of the cluster in the week, page after page: `next` of a page is `after` of the following one. */
async function* bookings(client: Client, clusterid: string, min_position: number) {
  let after: string | null = "";
  while (after !== null) {
    const query = { clusterid, range: week, limit: 1, min_position, ...(after && { after }) };
    const page: BookingPage = done(await client.GET("/bookings/select", { params: { query } }));
    yield* page.items ?? []; // columns have none
    after = page.next;
  }
}

/** All events of the project, page after page. */
async function* events(client: Client, project: string) {
  let after: number | null = 0;
  while (after !== null) {
    const query = { project, after, limit: 2 };
    const page: Schemas["EventPage"] = done(await client.GET("/events", { params: { query } }));
    yield* page.events;
    after = page.next;
  }
}

/** An event in words. `type` tells events apart; in each case, the fields of that type are known. */
function told({ event }: Schemas["StoredEvent"]): string {
  switch (event.type) {
    case "BookingCreated":
      return `${event.account} booked in ${event.pool}`;
    case "ClusterCreated":
      return `cluster ${event.cluster}`;
    case "GrantCreated":
      return `grant to ${event.project}`;
    default:
      return event.type;
  }
}

async function main(client: Client, project: string): Promise<void> {
  const cluster = await prepare(client, project);
  await book(client, cluster, "ada", 10);
  const { position } = await book(client, cluster, "grace", 2);
  try {
    await book(client, cluster, "lin", 5);
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    console.log("refused", refused.problem.status, refused.problem.code);
  }
  for (const [day, cores] of await freeByDay(client, cluster, position)) console.log(day, cores);
  console.log("columns", ...(await freeInColumns(client, cluster, position)));
  for await (const { account, cores, state } of bookings(client, cluster, position)) {
    console.log("booking", account, cores, state);
  }
  for await (const stored of events(client, project)) console.log(stored.position, told(stored));
}

const { HOURBOOK_URL = "http://127.0.0.1:8080", HOURBOOK_TOKEN } = process.env;
await main(signedIn(HOURBOOK_URL, HOURBOOK_TOKEN), process.argv[2] ?? "gaia");
