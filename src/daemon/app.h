#pragma once

#include "base/error.h"
#include "daemon/home.h"
#include "daemon/settings.h"
#include "llm/endpoint.h"
#include "loop/loop.h"

/*
 * The wiring: everything that a command needs which talks to a model, built in the order of the
 * ladder and taken down in the reverse one. Nobody else knows all of it.
 */
struct app {
    struct settings settings;
    struct home home;
    struct loop *loop;
    struct store *store;
    loop_id store_watch;
    struct endpoint endpoint;
    struct trust *trust;
    struct http_client *http; // NULL offline
    struct chat_provider *provider;
    struct workers *workers;
    struct toolbox *toolbox;
    struct agent *agent;
    bool streaming;
};

// On failure everything is taken down again and the sentence says what to do.
int app_start(struct app *app, const struct arguments *arguments, struct error *err);
void app_stop(struct app *app);
