// The openai client as it comes from npm, for a test in another language.
//
//     node openai_bridge.mjs NODE_MODULES BASE_URL API_KEY
//
// One JSON object per line, in and out. {"op": "chat", "params": {...}, "options": {...}} answers
// {"result": {"data": ..., "headers": {...}}}, or {"problem": {"name": "RateLimitError", ...}} with
// what the client's error object says. A call that is to be aborted is begun by "start", read by
// "read" and ended by "abort". A line {"ready": true} comes first.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [modules, baseURL, apiKey] = process.argv.slice(2);
const OpenAI = createRequire(`${modules}/`)('openai');
const client = new OpenAI({ baseURL, apiKey, timeout: 60000 });
let running = null; // { abort, answer, chunks }

async function told(promise) {
  const { data, response } = await promise.withResponse();
  return { data, headers: Object.fromEntries(response.headers) };
}

async function collected(promise) {
  const { data, headers } = await told(promise);
  const chunks = [];
  for await (const chunk of data) chunks.push(chunk);
  return { data: chunks, headers };
}

const operations = {
  chat: (a) => told(client.chat.completions.create(a.params, a.options)),
  stream: (a) => collected(client.chat.completions.create({ ...a.params, stream: true },
    a.options)),
  // The client's own way to put a stream together.
  final: async (a) => ({
    data: await client.chat.completions.stream(a.params, a.options).finalChatCompletion(),
  }),
  completion: (a) => told(client.completions.create(a.params, a.options)),
  completion_stream: (a) => collected(client.completions.create({ ...a.params, stream: true },
    a.options)),
  embedding: (a) => told(client.embeddings.create(a.params, a.options)),
  response: async (a) => ({ data: await client.responses.create(a.params, a.options) }),
  response_stream: async (a) => {
    const stream = client.responses.stream(a.params, a.options);
    const events = [];
    for await (const event of stream) events.push(event);
    return { data: { events, final: await stream.finalResponse() } };
  },
  models: async () => {
    const found = [];
    for await (const model of client.models.list()) found.push(model);
    return { data: found };
  },

  start: (a) => {
    const controller = new AbortController();
    const answer = client.chat.completions.create({ ...a.params, stream: true },
      { ...a.options, signal: controller.signal });
    answer.catch(() => {}); // told when it is asked for
    running = { abort: () => controller.abort(), answer, chunks: null };
    return {};
  },
  read: async (a) => {
    running.chunks ??= (await running.answer)[Symbol.asyncIterator]();
    const found = [];
    while (found.length < a.count) found.push((await running.chunks.next()).value);
    return { data: found };
  },
  abort: async () => {
    running.abort();
    running.chunks ??= (await running.answer)[Symbol.asyncIterator]();
    while (!(await running.chunks.next()).done);
    return {};
  },
};

function problemOf(error) {
  const { status, code, type, param, message, requestID } = error;
  return { name: error.constructor.name, status, code, type, param, message, requestID,
    headers: error.headers ? Object.fromEntries(error.headers) : {} };
}

function tell(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

tell({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  try {
    tell({ result: await operations[asked.op](asked) });
  } catch (error) {
    tell({ problem: problemOf(error) });
  }
}
