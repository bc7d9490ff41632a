// The pools that the page knows: all of them while they are few; else those of the project that is looked at.
import { projectOf } from "./api.js";
import { useEffect, useMemo, useState } from "./lib.js";
import { useAnswer } from "./live.js";

export const FEW = 500; // as many pools are asked for at once, and drawn as one tree

/**
 * {pool, pools, many, ready, problem}: `pool` is the one that is shown, which may not be that of the address; `many` says
 * that `pools` are those of its project alone, at most FEW and the shown one; `ready` that they are known.
 */
export function usePools(address) {
  const [usual, setUsual] = useState(null); // where they are many, the first pool of all
  const [missing, setMissing] = useState(null); // a project that is not there
  const first = useAnswer(usual == null && "/pools", { limit: FEW });
  const wanted = projectOf(address.pool);
  const project = usual && (wanted && wanted !== missing ? wanted : projectOf(usual));
  const own = useAnswer(project && "/pools", { project, limit: FEW });
  const pool = project && projectOf(address.pool) !== project ? project : address.pool;
  const beyond = own.data?.next && !own.data.pools.some(({ id }) => id === pool);
  const shown = useAnswer(beyond && "/pools", { project, find: pool, limit: FEW });
  useEffect(() => { if (first.data?.next) setUsual(first.data.pools[0].id); }, [first.data]);
  useEffect(() => { if (own.problem?.status === 404) setMissing(project); }, [own.problem]);
  const some = (own.data ?? own.old)?.pools;
  const one = (shown.data ?? shown.old)?.pools.find(({ id }) => id === pool);
  const around = useMemo(() => (one ? [...(some ?? []), one] : some ?? []), [some, one]);
  if (usual != null) {
    return { pool, pools: around, many: true, ready: Boolean(some), problem: own.problem?.status === 404 ? null : own.problem };
  }
  const pools = first.data?.pools ?? [];
  // A link's pool is asked about at once; whether it is there, the list of pools says a moment later.
  const known = !first.data || (first.data.next && address.pool) || pools.some(({ id }) => id === address.pool);
  return { pool: known ? address.pool : pools[0]?.id ?? "", pools, many: false, ready: Boolean(first.data), problem: first.problem };
}
