#pragma once

#include "llm/provider.h"

struct loop;

/*
 * The built-in offline model: no key, no network, and no language model either, which it says.
 * It follows a handful of rules ("read notes.txt", "remember ...") and calls the same tools through
 * the same protocol, so that a newcomer sees the whole loop and tests have something to drive.
 * The same words give the same answer.
 */
int offline_provider_create(struct loop *loop, struct chat_provider **ret_provider);
