#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "support/http_peer.h"

/*
 * A client, the server that misbehaves (its answers are in http_answers.c), and requests that keep
 * what came. Names are resolved by a getaddrinfo() of ours, so a dead name server needs no network:
 * "stuck.invalid" is answered when it is released, "twice.invalid" is 127.0.0.2 before 127.0.0.1,
 * and no other name below ".invalid" exists.
 */
enum {
    PATIENCE_MS = 20 * 1000,
    BODY_MAX = 16 << 20, // bytes
    MANY = 64,           // requests that /gather waits for
    LATE_MS = 1500,      // that /late-third takes
};

struct fetch_world {
    struct loop *loop;
    struct http_client *client;
    struct http_peer *peer;
};

enum place { NOWHERE, IN_HEAD, IN_BODY, IN_DONE };

struct fetch {
    struct fetch_world *world;
    http_id id;
    enum place cancel_in;
    struct fetch *victim; // who is cancelled there; NULL is the fetch itself
    struct fetch *next;   // begun in on_done, or with the first piece
    bool next_early;
    const char *next_path;
    int stop_after;  // pieces
    int pause_after; // pieces; 0: never
    bool paused;
    unsigned heads, pieces, dones;
    size_t largest;
    bool over; // nothing may come any more
    int status;
    struct buf head, body;
    enum http_failure failure;
    struct error err;
    int64_t took_ms;
};

#define FETCH_AUTO CLEANUP(fetch_finish) struct fetch

http_peer_fn fetch_answer; // its context is the struct fetch_world

int fetch_set_up(void **state);
int fetch_set_up_proxied(void **state); // the peer is the proxy for everything
int fetch_tear_down(void **state);
void fetch_release_resolver(void);
unsigned fetch_lookups(void); // names that the library was asked for
int64_t fetch_clock_ms(void);
void fetch_pass_ms(struct fetch_world *world, int ms);
void fetch_until_closed(struct fetch_world *world); // every connection, by the client

extern const struct http_handler fetch_handler; // its context is a struct fetch
struct fetch fetch_of(struct fetch_world *world);
void fetch_finish(struct fetch *fetch);
struct http_request fetch_get(const char *path);
void fetch_begin(struct fetch *fetch,
                 struct http_request request); // its URL may be a path on the peer
void fetch_until(struct fetch *fetch, const unsigned *count, unsigned value);
void fetch_await(struct fetch *fetch);
void fetch_pause(struct fetch *fetch, bool paused);
