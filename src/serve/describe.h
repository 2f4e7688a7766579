#pragma once

#include <stdbool.h>
#include <stdint.h>

struct json_writer;
struct store;
struct telegram;

// What more than one face tells about the parts of the program. Each writes one member of the
// object that is open: "store", "telegram", "outbox"; null for what there is not or cannot be read.

// Whether messages can be taken. A check of the file is no reason to say no: they wait in the
// queue while it lasts. Until it is opened nobody knows whether they could be written at all.
bool describe_ready(struct store *store);

void describe_store(struct json_writer *w, struct store *store);
void describe_telegram(struct json_writer *w, const struct telegram *telegram);
void describe_outbox(struct json_writer *w, struct store *store, int64_t now_ms);
