// Runs telegram-test-api, and lets a test in another language use its client.
//
//     NODE_PATH=.../node_modules node bridge.js PORT TOKEN [EXACT_PORT]
//
// One JSON object per line, in and out: {"op": "say", "chat": 42, "text": "hi"}. A line
// {"ready": true} comes first.
//
// On PORT is the package as it is. On EXACT_PORT it is with the getUpdates of the real Bot API, which
// tests about losing nothing need: the package forgets an update once it was told, the real one once
// an offset confirms it; the package answers at once, the real one holds a call for `timeout`
// seconds. There {"op": "lose", "times": 1} loses such an answer on the way, and "down" and "up" take
// the network away and bring it back. Everything else is answered by the package there, too.

'use strict';

const http = require('http');
const readline = require('readline');
const { TelegramServer } = require('telegram-test-api/lib/telegramServer');

const [port, token, exactPort] = process.argv.slice(2);
const server = new TelegramServer({ port: Number(port), host: '127.0.0.1', storeTimeout: 600 });
const clients = new Map();
const calls = []; // {method, status} of every call of the bot: the server itself keeps no count
const edits = []; // {chat, id, text}
const offsets = []; // of each getUpdates on EXACT_PORT
let unconfirmed = [];
let toLose = 0;

const editMessageText = server.editMessageText.bind(server);
server.editMessageText = (asked) => {
  edits.push({ chat: Number(asked.chat_id), id: Number(asked.message_id), text: asked.text });
  return editMessageText(asked);
};

function methodOf(request) {
  return request.url.split('?')[0].split('/')[2];
}

function count(request, response) {
  if (request.url.startsWith('/bot')) {
    const call = { method: methodOf(request), status: null };
    calls.push(call);
    response.on('finish', () => { call.status = response.statusCode; });
  }
}

// -- the real API's getUpdates --------------------------------------------------------------------

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function parametersOf(request, body) {
  const given = new URLSearchParams(request.url.split('?')[1] || '');
  const more = /json/.test(request.headers['content-type'] || '')
    ? JSON.parse(body || '{}') : Object.fromEntries(new URLSearchParams(body));
  return { ...Object.fromEntries(given), ...more };
}

async function held(asked, response) {
  const until = Date.now() + Number(asked.timeout || 0) * 1000;
  offsets.push(Number(asked.offset || 0));
  unconfirmed = unconfirmed.filter((update) => update.update_id >= Number(asked.offset || 0));
  for (;;) {
    unconfirmed.push(...server.getUpdates(token));
    if (unconfirmed.length > 0 || Date.now() >= until || response.destroyed) {
      return unconfirmed.slice(0, Number(asked.limit || 100));
    }
    await pause(10);
  }
}

async function exactly(request, response) {
  count(request, response);
  if (methodOf(request) !== 'getUpdates') {
    server.webServer(request, response);
    return;
  }
  let body = '';
  for await (const piece of request) body += piece;
  const found = await held(parametersOf(request, body), response);
  if (found.length > 0 && toLose > 0) {
    toLose -= 1;
    response.destroy();
    return;
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ ok: true, result: found }));
}

let exact = null;

async function up() {
  exact = http.createServer(exactly);
  await new Promise((resolve) => { exact.listen(Number(exactPort), '127.0.0.1', resolve); });
}

async function down() {
  const closed = new Promise((resolve) => { exact.close(resolve); });
  exact.closeAllConnections();
  await closed;
}

// -- the user's side ------------------------------------------------------------------------------

function client(asked) {
  const user = asked.user || asked.chat;
  const key = `${asked.chat} ${user}`;
  if (!clients.has(key)) {
    clients.set(key, server.getClient(token, {
      userId: user, chatId: asked.chat, type: asked.type, timeout: 5000 }));
  }
  return clients.get(key);
}

const operations = {
  say: (asked) => {
    const message = client(asked).makeMessage(asked.text, asked.more);
    if (asked.text === null) delete message.text; // the package gives every message one
    return client(asked).sendMessage(message);
  },
  command: (asked) => client(asked).sendCommand(client(asked).makeCommand(asked.text)),
  press: (asked) => client(asked).sendCallback(
    client(asked).makeCallbackQuery(asked.data, { message: { message_id: asked.message } })),
  history: (asked) => client(asked).getUpdatesHistory(),
  calls: () => calls,
  edits: () => edits,
  offsets: () => offsets,
  lose: (asked) => { toLose = asked.times; },
  down,
  up,
};

function tell(value) {
  process.stdout.write(JSON.stringify(value) + '\n');
}

async function main() {
  await server.start();
  server.server.on('request', count);
  if (exactPort) await up();
  tell({ ready: true });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      const asked = JSON.parse(line);
      tell({ result: await operations[asked.op](asked) });
    } catch (problem) {
      tell({ error: String(problem) });
    }
  }
  process.exit(0);
}

main();
