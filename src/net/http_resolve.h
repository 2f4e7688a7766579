#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

struct loop;

/*
 * Names to addresses, by the C library on threads of their own, so that resolv.conf, hosts and
 * search lists mean what they mean to every other program. A name server that never answers holds
 * a thread for as long as the library likes; nobody waits for it: who asked may go at any time, and
 * so may the whole resolver. One look-up serves all who ask for the same name meanwhile, and its
 * answer is kept for some seconds.
 */
enum {
    RESOLVE_ADDRESSES_MAX = 8, // of one name
    RESOLVE_THREADS_MAX = 8,   // at once; further names wait
    RESOLVE_CACHE_MS = 60 * 1000,
    RESOLVE_CACHE_MAX = 32, // names
};

struct address { // without a port
    int family;  // AF_INET or AF_INET6
    uint32_t scope;
    unsigned char bytes[16];
};

struct address_list {
    unsigned count; // 0: there is no such name, or nobody knows
    struct address addresses[RESOLVE_ADDRESSES_MAX];
};

// Fills in `ret_address` for connect(); returns its length.
socklen_t address_to_socket(const struct address *address, uint16_t port,
                            struct sockaddr_storage *ret_address);

struct resolver;
typedef uint64_t resolve_id;
typedef void resolve_fn(void *context, const struct address_list *list); // borrowed

struct resolver *resolver_create(struct loop *loop);
void resolver_destroy(struct resolver *resolver); // accepts NULL; nobody is called any more

// Positive when the answer is known: an address in figures, or one that is kept. Else 0, and `fn`
// is called from the loop. Negative when that cannot be.
int resolver_ask(struct resolver *resolver, const char *name, resolve_fn *fn, void *context,
                 resolve_id *ret_id, struct address_list *ret_list, struct error *err);
void resolver_cancel(struct resolver *resolver, resolve_id id); // a stale one does nothing

// That one of its addresses answered: it will be the first the next time.
void resolver_prefer(struct resolver *resolver, const char *name, const struct address *address);
void resolver_forget(struct resolver *resolver, const char *name); // that none of them did
