// The client of the TypeScript SDK, which calls a tool so many times: its CPU time by call, without
// its start and the first calls. One line of JSON.
import { pathToFileURL } from "node:url";

const [modules, url, tool, given, count] = process.argv.slice(2);
const entry = pathToFileURL(`${modules}/@modelcontextprotocol/client/dist/index.mjs`);
const { Client, StreamableHTTPClientTransport } = await import(entry);
const client = new Client({ name: "benchmark", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
await client.listTools();

async function call(times) {
  for (let i = 0; i < times; i++) {
    const result = await client.callTool({ name: tool, arguments: JSON.parse(given) });
    if (result.isError || !result.content[0].text) throw new Error(JSON.stringify(result));
  }
}

await call(count / 4);
const before = process.cpuUsage();
await call(count);
const used = process.cpuUsage(before);
console.log(JSON.stringify({ ms: (used.user + used.system) / 1000 / count }));
await client.close();
