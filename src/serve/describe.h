#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "codec/document.h"

struct agent;
struct endpoint;
struct store;
struct telegram;

// What more than one listener tells about the parts of the program. Each adds one member to its
// parent: "store", "disk", ...; null for what there is not or cannot be read.

// Whether messages can be taken. A check of the file is no reason to say no: they wait in the
// queue while it lasts. Until it is opened nobody knows whether they could be written at all.
bool describe_ready(struct store *store);

void describe_store(struct node parent, struct store *store);
void describe_telegram(struct node parent, const struct telegram *telegram,
                       bool whole); // else only its state
void describe_outbox(struct node parent, struct store *store, int64_t now_ms);
void describe_disk(struct node parent, const char *home); // that holds the home

// Which model is asked and where, and how the calls went: "model", as it was asked for, and
// "upstream". Either may be NULL.
void describe_upstream(struct node parent, const struct endpoint *endpoint,
                       const struct agent *agent);
