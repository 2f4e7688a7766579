#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/address.h"

static void classes(void **state)
{
    (void)state;
    static const struct {
        const char *first, *last; // both of the class; what lies beside them is not
        enum address_class class;
    } cases[] = {
        {"0.0.0.0", "0.255.255.255", ADDRESS_UNSPECIFIED},
        {"10.0.0.0", "10.255.255.255", ADDRESS_PRIVATE},
        {"100.64.0.0", "100.127.255.255", ADDRESS_SHARED},
        {"127.0.0.0", "127.255.255.255", ADDRESS_LOOPBACK},
        {"169.254.0.0", "169.254.255.255", ADDRESS_LINK_LOCAL},
        {"169.254.169.254", "169.254.169.254", ADDRESS_METADATA},
        {"169.254.170.2", "169.254.170.2", ADDRESS_METADATA},
        {"168.63.129.16", "168.63.129.16", ADDRESS_METADATA},
        {"100.100.100.200", "100.100.100.200", ADDRESS_METADATA},
        {"192.0.0.192", "192.0.0.192", ADDRESS_METADATA},
        {"172.16.0.0", "172.31.255.255", ADDRESS_PRIVATE},
        {"192.0.0.0", "192.0.0.255", ADDRESS_RESERVED},
        {"192.0.2.0", "192.0.2.255", ADDRESS_DOCUMENTATION},
        {"192.88.99.0", "192.88.99.255", ADDRESS_RESERVED},
        {"192.168.0.0", "192.168.255.255", ADDRESS_PRIVATE},
        {"198.18.0.0", "198.19.255.255", ADDRESS_RESERVED},
        {"198.51.100.0", "198.51.100.255", ADDRESS_DOCUMENTATION},
        {"203.0.113.0", "203.0.113.255", ADDRESS_DOCUMENTATION},
        {"224.0.0.0", "239.255.255.255", ADDRESS_MULTICAST},
        {"240.0.0.0", "255.255.255.255", ADDRESS_RESERVED},
        {"1.0.0.0", "9.255.255.255", ADDRESS_PUBLIC},
        {"11.0.0.0", "100.63.255.255", ADDRESS_PUBLIC},
        {"100.128.0.0", "126.255.255.255", ADDRESS_PUBLIC},
        {"128.0.0.0", "168.63.129.15", ADDRESS_PUBLIC},
        {"168.63.129.17", "169.253.255.255", ADDRESS_PUBLIC},
        {"169.255.0.0", "172.15.255.255", ADDRESS_PUBLIC},
        {"172.32.0.0", "191.255.255.255", ADDRESS_PUBLIC},
        {"192.0.1.0", "192.0.1.255", ADDRESS_PUBLIC},
        {"192.0.3.0", "192.88.98.255", ADDRESS_PUBLIC},
        {"192.88.100.0", "192.167.255.255", ADDRESS_PUBLIC},
        {"192.169.0.0", "198.17.255.255", ADDRESS_PUBLIC},
        {"198.20.0.0", "198.51.99.255", ADDRESS_PUBLIC},
        {"198.51.101.0", "203.0.112.255", ADDRESS_PUBLIC},
        {"203.0.114.0", "223.255.255.255", ADDRESS_PUBLIC},

        {"::", "::", ADDRESS_UNSPECIFIED},
        {"::1", "::1", ADDRESS_LOOPBACK},
        {"::2", "::ffff", ADDRESS_RESERVED},
        {"::127.0.0.1", "::8.8.8.8", ADDRESS_RESERVED}, // compatible, as nothing is any more
        {"fc00::", "fcff::", ADDRESS_PRIVATE},
        {"fd00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PRIVATE},
        {"fd00:ec2::254", "fd00:ec2::254", ADDRESS_METADATA},
        {"fd20:ce::254", "fd20:ce::254", ADDRESS_METADATA},
        {"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_LINK_LOCAL},
        {"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PRIVATE},
        {"ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_MULTICAST},
        {"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_DOCUMENTATION},
        {"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_DOCUMENTATION},
        {"2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_RESERVED},
        {"100::", "100::ffff", ADDRESS_RESERVED}, // discards
        {"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", ADDRESS_RESERVED},
        {"4000::", "5fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_RESERVED},
        {"2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PUBLIC},
        {"2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PUBLIC},
        {"2003::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PUBLIC},
        {"3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PUBLIC},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const ends[] = {cases[i].first, cases[i].last};
        for (size_t end = 0; end < 2; end++) {
            struct address address;
            assert_true(address_parse(span_of(ends[end]), &address));
            enum address_class class = address_classify(&address);
            if (class != cases[i].class)
                fail_msg("%s is %s", ends[end], address_class_name(class));
        }
    }
}

// Each way of putting an IPv4 address into an IPv6 one, with every class of address.
static void addresses_within_addresses(void **state)
{
    (void)state;
    static const char *const inner[] = {"127.0.0.1", "10.1.2.3",  "169.254.169.254", "100.64.1.1",
                                        "0.0.0.0",   "224.0.0.1", "192.0.2.7",       "8.8.8.8"};
    static const struct {
        const char *base;
        size_t at;
        unsigned char flip;
    } carriers[] = {
        {"::ffff:0.0.0.0", 12, 0}, {"::ffff:0:0.0.0.0", 12, 0}, {"64:ff9b::", 12, 0},
        {"2002::1", 2, 0},         {"2001::f7f7:f7f7", 4, 0},   {"2001:0:808:808::", 12, 0xff},
    };
    for (size_t i = 0; i < ARRAY_LEN(carriers); i++)
        for (size_t j = 0; j < ARRAY_LEN(inner); j++) {
            struct address plain, carried;
            assert_true(address_parse(span_of(inner[j]), &plain));
            assert_true(address_parse(span_of(carriers[i].base), &carried));
            for (size_t k = 0; k < 4; k++)
                carried.bytes[carriers[i].at + k] = plain.bytes[k] ^ carriers[i].flip;
            if (address_classify(&carried) != address_classify(&plain))
                fail_msg("%s in %s is %s", inner[j], carriers[i].base,
                         address_class_name(address_classify(&carried)));
        }
}

static void spellings(void **state)
{
    (void)state;
    static const char *const none[] = {"",           "localhost",    "127.1",     "0x7f.0.0.1",
                                       "2130706433", "017700000001", "1.2.3",     "1.2.3.4.",
                                       "1.2.3.256",  "[1.2.3.4]",    "fe80::1%1", "[::1",
                                       "::1]",       "1.2.3.4/32",   " 1.2.3.4",  "01.2.3.4"};
    struct address address = {.bits = 77};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        if (address_parse(span_of(none[i]), &address))
            fail_msg("took %s", none[i]);
    assert_false(address_parse(span_make("1.2.3.4\0", 8), &address));
    assert_int_equal(address.bits, 77);
    assert_true(address_parse(SPAN_LITERAL("[::1]"), &address));
    assert_int_equal(address.bits, 128);
}

static bool covers(const char *network, const char *address)
{
    struct address_network n;
    struct address a;
    assert_true(address_network_parse(span_of(network), &n));
    assert_true(address_parse(span_of(address), &a));
    return address_network_covers(&n, &a);
}

static void networks(void **state)
{
    (void)state;
    struct address_network network;
    assert_true(covers("10.0.0.0/8", "10.255.1.2"));
    assert_false(covers("10.0.0.0/8", "11.0.0.0"));
    assert_true(covers("10.9.9.9/9", "10.127.0.0"));
    assert_false(covers("10.9.9.9/9", "10.128.0.0"));
    assert_true(covers("0.0.0.0/0", "1.2.3.4"));
    assert_false(covers("0.0.0.0/0", "::1"));
    assert_true(covers("10.1.2.3", "10.1.2.3"));
    assert_false(covers("10.1.2.3", "10.1.2.2"));
    assert_true(covers("fd00::/8", "fdff::1"));
    assert_true(covers("[::1]", "::1"));
    assert_false(covers("10.0.0.0/8", "::ffff:10.0.0.1"));
    static const char *const none[] = {"10.0.0.0/33", "::/129", "10.0.0.0/", "/8",
                                       "10.0.0/8",    "x/8",    "1.2.3.4/-1"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_false(address_network_parse(span_of(none[i]), &network));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),
        cmocka_unit_test(addresses_within_addresses),
        cmocka_unit_test(spellings),
        cmocka_unit_test(networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
