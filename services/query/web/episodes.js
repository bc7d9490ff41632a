// Conflicts as people see them: hours in a row in which one pool lacks something, whatever it lacks in each.

/**
 * The interface lists runs that lack the same of one dimension; those of a pool that touch or overlap are one episode:
 * [{pool, start, end, deadline, lacks: {dimension: most}, runs, claims, total}]. Of a claim, `amounts` are what it holds
 * in each run, by the run's place.
 */
export function episodesOf(conflicts) {
  const episodes = [];
  const inOrder = [...conflicts].sort((one, other) => one.pool.localeCompare(other.pool) || one.start.localeCompare(other.start));
  for (const run of inOrder) {
    const last = episodes.at(-1);
    if (last && last.pool === run.pool && run.start <= last.end) {
      last.runs.push(run);
      if (run.end > last.end) last.end = run.end;
      if (run.deadline < last.deadline) last.deadline = run.deadline;
    } else episodes.push({ pool: run.pool, start: run.start, end: run.end, deadline: run.deadline, runs: [run] });
  }
  for (const episode of episodes) {
    episode.lacks = {};
    for (const { dimension, deficit } of episode.runs) episode.lacks[dimension] = Math.max(deficit, episode.lacks[dimension] ?? 0);
    episode.claims = claimsOf(episode.runs);
  }
  return episodes.sort((one, other) => one.deadline.localeCompare(other.deadline));
}

/** Each claim once, with the most that it holds of a dimension; the newest first, which are the first to give way. */
function claimsOf(runs) {
  const claims = new Map();
  runs.forEach((run, place) => {
    for (const { amount, ...claim } of run.claims) {
      const key = claim.booking ?? claim.cluster;
      if (!claims.has(key)) claims.set(key, { ...claim, key, amounts: {}, holds: {} });
      const known = claims.get(key);
      known.amounts[place] = amount;
      known.holds[run.dimension] = Math.max(amount, known.holds[run.dimension] ?? 0);
    }
  });
  return [...claims.values()].sort((one, other) => other.position - one.position);
}

const WAYS_MAX = 4;

/** What would resolve an episode: single claims that cover every run of it, or else the newest that do together. */
export function waysOf({ runs, claims }) {
  const left = (taken) => runs.map(({ deficit }, place) => deficit - taken.reduce((sum, { amounts }) => sum + (amounts[place] ?? 0), 0));
  const settles = (taken) => left(taken).every((missing) => missing <= 0);
  const single = claims.filter((claim) => settles([claim])).slice(0, WAYS_MAX);
  if (single.length) return single.map((claim) => [claim]);
  const together = [];
  for (const claim of claims) {
    const missing = left(together);
    if (missing.every((amount) => amount <= 0)) break;
    if (missing.some((amount, place) => amount > 0 && claim.amounts[place])) together.push(claim);
  }
  return together.length ? [together] : [];
}
