// A command as a form sees it: what a dry run says while it is filled in, and the sending.
import { Problem, send } from "./api.js";
import { useEffect, useState } from "./lib.js";
import { askAgain, useMoved, wrote } from "./live.js";

const SETTLE_MS = 180; // while somebody types
const LOST = new Problem(0, { title: "The answer was lost on the way", detail: "It was made, but nobody saw it. Make it anew." });

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

const IDLE = { busy: false, problem: null };

/** {busy, problem, attempt}. `attempt(work)` resolves to what `work` resolves to, or to null after a problem. */
export function useAttempt() {
  const [state, setState] = useState(IDLE);
  const attempt = async (work) => {
    setState({ busy: true, problem: null });
    try {
      const made = await work();
      setState(IDLE);
      return made;
    } catch (problem) {
      setState({ busy: false, problem });
      return null;
    }
  };
  return { ...state, attempt };
}

/**
 * `run(path, body)` sends a command and has its result read back: {busy, problem, run}. With `tryFirst`, for what no dry
 * run has looked at yet, it is decided without effect first, and sent only if it would be accepted.
 */
export function useCommand(onDone) {
  const { attempt, ...state } = useAttempt();
  const run = (path, body, { tryFirst = false } = {}) => attempt(async () => {
    const tried = tryFirst && (await send("POST", path, body, { dry_run: true }));
    if (tried?.problem) throw new Problem(tried.problem.status, tried.problem);
    const answer = await send("POST", path, body);
    wrote(answer.position);
    onDone?.(answer);
  });
  return { ...state, run };
}

/**
 * A command that makes no event: {busy, problem, run}. `run` resolves to the answer, or to null after a problem. `secret`
 * is the field of the answer that only the first answer shows: if that was lost, the page has sent the command again.
 */
export function useCredential() {
  const { attempt, ...state } = useAttempt();
  const run = (path, body, secret) => attempt(async () => {
    const answer = await send("POST", path, body);
    askAgain();
    if (secret && !answer[secret]) throw LOST;
    return answer;
  });
  return { ...state, run };
}
