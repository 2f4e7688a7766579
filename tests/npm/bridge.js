// Runs telegram-test-api, and lets a test in another language use its client.
//
//     NODE_PATH=.../node_modules node bridge.js PORT TOKEN
//
// One JSON object per line, in and out: {"op": "say", "chat": 42, "text": "hi"},
// {"op": "command", ...}, {"op": "history"}, {"op": "polls"}. A line {"ready": true} comes first.

'use strict';

const readline = require('readline');
const { TelegramServer } = require('telegram-test-api/lib/telegramServer');

const [port, token] = process.argv.slice(2);
const server = new TelegramServer({ port: Number(port), host: '127.0.0.1', storeTimeout: 600 });
const clients = new Map();
let polls = 0;

// How often the bot asked: the server itself keeps no count.
const getUpdates = server.getUpdates.bind(server);
server.getUpdates = (...given) => { polls += 1; return getUpdates(...given); };

function client(chat) {
  if (!clients.has(chat)) {
    clients.set(chat, server.getClient(token, { userId: chat, chatId: chat, timeout: 5000 }));
  }
  return clients.get(chat);
}

const operations = {
  say: (asked) => client(asked.chat).sendMessage(client(asked.chat).makeMessage(asked.text)),
  command: (asked) => client(asked.chat).sendCommand(client(asked.chat).makeCommand(asked.text)),
  history: (asked) => client(asked.chat).getUpdatesHistory(),
  polls: () => polls,
};

function tell(value) {
  process.stdout.write(JSON.stringify(value) + '\n');
}

async function main() {
  await server.start();
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
