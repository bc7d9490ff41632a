// Every operation answers with a type: neither `unknown` nor `any`. `tsc` names those that do not.

import type { paths } from "./hourbook.ts";

type Method = "get" | "post" | "put" | "patch" | "delete" | "head" | "options";
type Untyped<T> = unknown extends T ? true : false; // `any`, too
type Contents<Responses> = {
  [Status in keyof Responses]: Responses[Status] extends { content: infer Content } ? Content[keyof Content] : "";
}[keyof Responses];
type Poor = {
  [Path in keyof paths]: {
    [M in Method & keyof paths[Path]]: NonNullable<paths[Path][M]> extends { responses: infer Responses }
      ? Untyped<Contents<Responses>> extends true
        ? `${M} ${Path & string}`
        : never
      : never;
  }[Method & keyof paths[Path]];
}[keyof paths];

export const poor: [Poor] extends [never] ? true : Poor = true;
