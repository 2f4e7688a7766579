#pragma once

#include <stdbool.h>

#include "base/span.h"

struct agent_config;

// May a call of a tool run, does the approval model decide whether somebody has to say yes to it
// first, does somebody have to, or does it not run at all? In the order of strictness.
enum approval_decision {
    APPROVAL_RUNS,
    APPROVAL_CONSULTS,
    APPROVAL_ASKS,
    APPROVAL_REFUSES,
};

enum approval_verdict { // of the approval model
    APPROVAL_UNHEARD,
    APPROVAL_ALLOWED,
    APPROVAL_ESCALATED, // also where there is none, or it could not say
};

enum { APPROVAL_WHY_MAX = 400 }; // bytes, with the terminating NUL

struct approval_call { // borrowed
    const char *tool;
    unsigned flags; // enum tool_flags
    struct span arguments;
    const char *origin; // what triggered the turn
    bool unattended;    // nobody can be asked
    const char *taint;  // where text came from that nobody vouches for; "": there is none
    bool copied;        // what it fetches stands whole in what was read, or was said by the user
    enum approval_verdict verdict;
};

struct approval_judgement {
    enum approval_decision decision;
    bool cleared;               // runs although its tool needs approval: the mode says so
    char why[APPROVAL_WHY_MAX]; // of a question, for people; of a refusal, for the model
};

struct approval_judgement approval_judge(const struct agent_config *config,
                                         const struct approval_call *call);
