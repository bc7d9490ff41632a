// A command as a form sees it: what a dry run says while it is filled in, and the sending.
import { Problem, send } from "./api.js";
import { useEffect, useState } from "./lib.js";
import { useMoved, wrote } from "./live.js";

const SETTLE_MS = 180; // while somebody types

/**
 * What would be decided: {accepted, decided, problem, nearest} or null while it is not known. `body` null asks nothing.
 * It is asked again when something has happened, for then the answer may be another.
 */
export function useDryRun(path, body) {
  const { moved } = useMoved();
  const key = body && JSON.stringify([path, body]);
  const [state, setState] = useState({ key: null, verdict: null });
  useEffect(() => {
    if (!key) return undefined;
    let wanted = true;
    const say = (verdict) => wanted && setState({ key, verdict });
    const timer = setTimeout(() => {
      send("POST", path, body, { dry_run: true }).then(
        (answer) => say({ ...answer, problem: answer.problem && new Problem(answer.problem.status, answer.problem) }),
        (problem) => say({ accepted: false, decided: [], problem, nearest: null }),
      );
    }, SETTLE_MS);
    return () => { wanted = false; clearTimeout(timer); };
  }, [key, moved]);
  if (!key) return { verdict: null, checking: false };
  return state.key === key ? { verdict: state.verdict, checking: false } : { verdict: null, checking: true };
}

/**
 * `run(path, body)` sends a command and has its result read back: {busy, problem, run}. With `tryFirst`, for what no dry
 * run has looked at yet, it is decided without effect first, and sent only if it would be accepted.
 */
export function useCommand(onDone) {
  const [state, setState] = useState({ busy: false, problem: null });
  const run = async (path, body, { tryFirst = false } = {}) => {
    setState({ busy: true, problem: null });
    try {
      const tried = tryFirst && (await send("POST", path, body, { dry_run: true }));
      if (tried?.problem) throw new Problem(tried.problem.status, tried.problem);
      const answer = await send("POST", path, body);
      setState({ busy: false, problem: null });
      wrote(answer.position);
      onDone?.(answer);
    } catch (problem) {
      setState({ busy: false, problem });
    }
  };
  return { ...state, run, forget: () => setState({ busy: false, problem: null }) };
}
