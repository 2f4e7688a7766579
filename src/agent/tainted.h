#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/turn_taint.h"
#include "base/error.h"

struct store_view;

enum {
    TAINTED_MAX = 32,       // conversations that are told of
    TAINTED_NAME_MAX = 128, // bytes of a name, with the terminating NUL; what is longer is cut
};

struct tainted_conversations { // one allocation, for whichever thread
    size_t count;
    struct tainted_conversation {
        char id[TAINTED_NAME_MAX], channel[TAINTED_NAME_MAX], title[TAINTED_NAME_MAX];
        char why[TURN_TAINT_MAX];
        int64_t since_ms; // wall clock; 0: not known
    } all[TAINTED_MAX];
};

// Of the conversations that go on, those that hold text which nobody vouches for, newest first. On
// whichever thread has the view.
int tainted_conversations_read(struct store_view *view, struct tainted_conversations *ret,
                               struct error *err);
