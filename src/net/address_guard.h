#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"

struct sockaddr;

/*
 * Where a request may go whose URL somebody chose who must not be trusted with it: to public
 * addresses only, and to what was granted by name. The address is looked at when the socket for it
 * is made, so no name that resolves differently the second time, no redirect and no spelling of a
 * number gets around it: what was looked at is what is connected to.
 */
struct address_guard;

enum { ADDRESS_GUARD_GRANTS_MAX = 256 };

/*
 * Each grant is a host's name, one that begins with "*." for all names below it, an address, or a
 * network ("10.0.0.0/8"). A name may lead anywhere. `proxied`: where a proxy stands between, which
 * hides what it connects to, it is trusted to keep to public addresses.
 */
int address_guard_create(const char *const *grants, size_t count, bool proxied,
                         struct address_guard **ret_guard, struct error *err);
void address_guard_destroy(struct address_guard *guard); // accepts NULL

// Is the host of a URL (a name, or an address without brackets) granted as it is written?
bool address_guard_grants(const struct address_guard *guard, struct span host);

// Before a proxy is asked for this host. 0 or -EACCES with a sentence.
int address_guard_check_proxied(const struct address_guard *guard, struct span host,
                                struct error *err);

// Before an address is connected to. 0 or -EACCES; the sentence names the address and its kind.
int address_guard_check(const struct address_guard *guard, const struct sockaddr *address,
                        struct error *err);
