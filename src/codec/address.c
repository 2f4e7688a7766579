#include "codec/address.h"

#include <arpa/inet.h>

#include "base/mem.h"

enum { IPV4_BITS = 32, IPV6_BITS = 128 };

/* Reading */

bool address_parse(struct span text, struct address *ret)
{
    char copy[INET6_ADDRSTRLEN];
    struct address address = {0};
    bool bracketed = text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';
    if (bracketed)
        text = span_make(text.data + 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, '\0', text.len))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (!bracketed && inet_pton(AF_INET, copy, address.bytes) == 1)
        address.bits = IPV4_BITS;
    else if (inet_pton(AF_INET6, copy, address.bytes) == 1)
        address.bits = IPV6_BITS;
    else
        return false;
    *ret = address;
    return true;
}

bool address_network_parse(struct span text, struct address_network *ret)
{
    struct address_network network;
    struct span rest = text, base = span_cut(&rest, '/');
    if (!address_parse(base, &network.base))
        return false;
    uint64_t prefix = network.base.bits;
    if (base.len < text.len && (!span_to_u64(rest, &prefix) || prefix > network.base.bits))
        return false;
    network.prefix = (unsigned)prefix;
    *ret = network;
    return true;
}

bool address_network_covers(const struct address_network *network, const struct address *address)
{
    size_t bytes = network->prefix / 8;
    unsigned rest = network->prefix % 8;
    const unsigned char *a = network->base.bytes, *b = address->bytes;
    return network->base.bits == address->bits && memcmp(a, b, bytes) == 0 &&
           (rest == 0 || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

/* Classes */

struct rule {
    unsigned char base[ADDRESS_BYTES_MAX];
    unsigned char prefix; // bits
    unsigned char class;
};

// The first that covers an address decides. IANA's registries of special-purpose addresses, and
// what clouds have put elsewhere.
static const struct rule ipv4_rules[] = {
    {{169, 254, 169, 254}, 32, ADDRESS_METADATA}, // nearly all of them
    {{169, 254, 170, 2}, 32, ADDRESS_METADATA},   // of containers at AWS
    {{168, 63, 129, 16}, 32, ADDRESS_METADATA},   // Azure, within a public network
    {{100, 100, 100, 200}, 32, ADDRESS_METADATA}, // Alibaba
    {{192, 0, 0, 192}, 32, ADDRESS_METADATA},     // Oracle
    {{0}, 8, ADDRESS_UNSPECIFIED},
    {{10}, 8, ADDRESS_PRIVATE},
    {{100, 64}, 10, ADDRESS_SHARED},
    {{127}, 8, ADDRESS_LOOPBACK},
    {{169, 254}, 16, ADDRESS_LINK_LOCAL},
    {{172, 16}, 12, ADDRESS_PRIVATE},
    {{192, 0, 0}, 24, ADDRESS_RESERVED},
    {{192, 0, 2}, 24, ADDRESS_DOCUMENTATION},
    {{192, 88, 99}, 24, ADDRESS_RESERVED}, // the relays of 6to4
    {{192, 168}, 16, ADDRESS_PRIVATE},
    {{198, 18}, 15, ADDRESS_RESERVED}, // for measuring
    {{198, 51, 100}, 24, ADDRESS_DOCUMENTATION},
    {{203, 0, 113}, 24, ADDRESS_DOCUMENTATION},
    {{224}, 4, ADDRESS_MULTICAST},
    {{240}, 4, ADDRESS_RESERVED},
};

// Only 2000::/3 is given out; what is not named here and lies outside of it is reserved.
static const struct rule ipv6_rules[] = {
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54}, 128, ADDRESS_METADATA}, // AWS
    {{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54}, 128, ADDRESS_METADATA}, // Google
    {{0}, 128, ADDRESS_UNSPECIFIED},
    {{[15] = 1}, 128, ADDRESS_LOOPBACK},
    {{0xfc}, 7, ADDRESS_PRIVATE},
    {{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},
    {{0xfe, 0xc0}, 10, ADDRESS_PRIVATE}, // site-local, as it once was
    {{0xff}, 8, ADDRESS_MULTICAST},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDRESS_DOCUMENTATION},
    {{0x3f, 0xff}, 20, ADDRESS_DOCUMENTATION},
    {{0x20, 0x01}, 23, ADDRESS_RESERVED}, // for protocols
    {{0x20}, 3, ADDRESS_PUBLIC},
};

static enum address_class look_up(const struct rule *rules, size_t count,
                                  const struct address *address, enum address_class otherwise)
{
    for (size_t i = 0; i < count; i++) {
        struct address_network network = {{address->bits, {0}}, rules[i].prefix};
        memcpy(network.base.bytes, rules[i].base, sizeof network.base.bytes);
        if (address_network_covers(&network, address))
            return (enum address_class)rules[i].class;
    }
    return otherwise;
}

static enum address_class classify_ipv4(const unsigned char *bytes, unsigned char flip)
{
    struct address address = {.bits = IPV4_BITS};
    for (size_t i = 0; i < IPV4_BITS / 8; i++)
        address.bytes[i] = bytes[i] ^ flip;
    return look_up(ipv4_rules, ARRAY_LEN(ipv4_rules), &address, ADDRESS_PUBLIC);
}

// Where IPv6 addresses hold an IPv4 one: from which byte on.
static const struct carrier {
    unsigned char base[ADDRESS_BYTES_MAX];
    unsigned char prefix; // bits
    unsigned char at;
} carriers[] = {
    {{[10] = 0xff, 0xff}, 96, 12},      // mapped
    {{[8] = 0xff, 0xff}, 96, 12},       // translated (RFC 2765)
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12}, // NAT64
    {{0x20, 0x02}, 16, 2},              // 6to4
    {{0x20, 0x01, 0x00, 0x00}, 32, 4},  // Teredo: its server
};

enum address_class address_classify(const struct address *address)
{
    static const struct address_network teredo = {{IPV6_BITS, {0x20, 0x01}}, 32};
    if (address->bits == IPV4_BITS)
        return classify_ipv4(address->bytes, 0);
    for (size_t i = 0; i < ARRAY_LEN(carriers); i++) {
        struct address_network network = {{IPV6_BITS, {0}}, carriers[i].prefix};
        memcpy(network.base.bytes, carriers[i].base, sizeof network.base.bytes);
        if (!address_network_covers(&network, address))
            continue;
        enum address_class inner = classify_ipv4(address->bytes + carriers[i].at, 0);
        if (inner == ADDRESS_PUBLIC && address_network_covers(&teredo, address))
            inner = classify_ipv4(address->bytes + 12, 0xff); // the client, with its bits turned
        return inner;
    }
    return look_up(ipv6_rules, ARRAY_LEN(ipv6_rules), address, ADDRESS_RESERVED);
}

const char *address_class_name(enum address_class class)
{
    static const char *const names[] = {
        [ADDRESS_PUBLIC] = "a public address",
        [ADDRESS_UNSPECIFIED] = "no address of anything",
        [ADDRESS_LOOPBACK] = "this machine's own address",
        [ADDRESS_PRIVATE] = "a private address",
        [ADDRESS_SHARED] = "an address within a provider's network",
        [ADDRESS_LINK_LOCAL] = "a link-local address",
        [ADDRESS_METADATA] = "the metadata service of a cloud",
        [ADDRESS_MULTICAST] = "a multicast address",
        [ADDRESS_DOCUMENTATION] = "an address for examples",
        [ADDRESS_RESERVED] = "a reserved address",
    };
    return names[class];
}
