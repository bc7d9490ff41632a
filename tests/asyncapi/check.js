// Reads an AsyncAPI document from standard input; prints what is wrong with it, and fails if anything is.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const wrong = diagnostics.filter(({ severity }) => severity <= 1); // errors and warnings
for (const { severity, code, message, path } of wrong) console.log(severity, code, path.join("."), message);
if (document === undefined || wrong.length > 0) process.exit(1);
console.log(document.version(), document.channels().length, document.messages().length);
