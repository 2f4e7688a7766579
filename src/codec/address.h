#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/*
 * Addresses of the Internet as bytes, networks of them, and whom an address belongs to. Pure: no
 * name is looked up.
 */
enum { ADDRESS_BYTES_MAX = 16 };

struct address {
    unsigned bits;                          // 32: IPv4; 128: IPv6; 0: none
    unsigned char bytes[ADDRESS_BYTES_MAX]; // in the order of the wire
};

struct address_network {
    struct address base;
    unsigned prefix; // bits of it that count
};

// Everything but ADDRESS_PUBLIC leads to this machine, to its neighbours, or nowhere.
enum address_class {
    ADDRESS_PUBLIC,
    ADDRESS_UNSPECIFIED,
    ADDRESS_LOOPBACK,
    ADDRESS_PRIVATE,
    ADDRESS_SHARED, // between a provider and its customers (RFC 6598)
    ADDRESS_LINK_LOCAL,
    ADDRESS_METADATA, // of a cloud, which hands out credentials there
    ADDRESS_MULTICAST,
    ADDRESS_DOCUMENTATION,
    ADDRESS_RESERVED, // for protocols, tests and later
};

// Four numbers, or IPv6 with or without brackets; nothing else: no name, zone, or other spelling.
bool address_parse(struct span text, struct address *ret);

// "10.0.0.0/8", or one address. Bits behind the prefix do not count.
bool address_network_parse(struct span text, struct address_network *ret);
bool address_network_covers(const struct address_network *network, const struct address *address);

// An IPv4 address within an IPv6 one (mapped, translated, 6to4, Teredo) is what decides there.
enum address_class address_classify(const struct address *address);
const char *address_class_name(enum address_class class); // "a private address"
