#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mcp/server_config.h"

enum { PAIRS_MAX = 16 };

// "name=value" lines, as the settings' tree has them.
static struct option_map map_of(const char *const *lines, struct option_pair *pairs)
{
    size_t count = 0;
    for (; lines[count]; count++) {
        const char *equals = strchr(lines[count], '=');
        pairs[count] =
            (struct option_pair){.name = mem_strndup(lines[count], (size_t)(equals - lines[count])),
                                 .value = equals + 1};
    }
    return (struct option_map){pairs, count};
}

static int read_lines(const char *const *lines, struct mcp_server_config *ret, struct error *err)
{
    struct option_pair pairs[PAIRS_MAX];
    struct option_map map = map_of(lines, pairs);
    int r = mcp_server_config_read(&map, SPAN_LITERAL("s"), ret, err);
    for (size_t i = 0; i < map.count; i++)
        free((char *)pairs[i].name);
    return r;
}

static bool has(const struct mcp_texts *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->texts[i], text) == 0)
            return true;
    return false;
}

static void a_program(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "other.command=x",   "s.command=npx", "s.args.0=-y", "s.args.1=a server",
        "s.env.TOKEN=t0k3n", "s.timeout=90",  "s.lazy=yes",  NULL};
    struct error err = ERROR_INIT;
    CLEANUP(mcp_server_config_finish) struct mcp_server_config config = {0};
    if (read_lines(lines, &config, &err) < 0)
        fail_msg("%s", err.text);
    assert_null(config.url);
    assert_int_equal(config.argv.count, 3);
    assert_string_equal(config.argv.texts[2], "a server");
    assert_null(config.argv.texts[3]);
    assert_true(has(&config.environment, "TOKEN=t0k3n"));
    assert_true(config.environment.count <= 7); // six of ours at most
    assert_int_equal(config.timeout_ms, 90 * 1000);
    assert_int_equal(config.connect_ms, 60 * 1000);
    assert_true(config.lazy);
    assert_true(config.enabled);
    assert_false(config.trusted);
}

static void a_sandbox(void **state)
{
    (void)state;
    static const char *const plain[] = {"s.command=x", "s.sandbox=true", NULL};
    static const char *const more[] = {"s.command=x",         "s.sandbox.read.0=/a",
                                       "s.sandbox.read.1=/b", "s.sandbox.write.0=/c",
                                       "s.memory=64M",        NULL};
    static const char *const none[] = {"s.command=x", "s.sandbox=no", NULL};
    static const char *const relative[] = {"s.command=x", "s.sandbox.write.0=a", NULL};
    struct error err = ERROR_INIT;
    struct mcp_server_config config;
    assert_int_equal(read_lines(plain, &config, &err), 0);
    assert_true(config.sandboxed);
    assert_int_equal(config.memory, 512 << 20);
    mcp_server_config_finish(&config);
    assert_int_equal(read_lines(more, &config, &err), 0);
    assert_true(config.sandboxed);
    assert_int_equal(config.read.count, 2);
    assert_string_equal(config.write.texts[0], "/c");
    assert_int_equal(config.memory, 64 * 1000 * 1000);
    mcp_server_config_finish(&config);
    assert_int_equal(read_lines(none, &config, &err), 0);
    assert_false(config.sandboxed);
    assert_int_equal(config.memory, 0);
    mcp_server_config_finish(&config);
    assert_int_equal(read_lines(relative, &config, &err), -EINVAL);
    assert_string_equal(err.text, "mcp_servers.s.sandbox.write: \"a\" is no absolute path");
}

static void an_address(void **state)
{
    (void)state;
    static const char *const lines[] = {"s.url=http://127.0.0.1:8080/mcp",
                                        "s.type=sse",
                                        "s.headers.Authorization=Bearer abc",
                                        "s.headers_file.X-Key=/run/key",
                                        "s.trust=full",
                                        "s.protocol=stateless",
                                        "s.tools.exclude.0=*_delete",
                                        NULL};
    struct error err = ERROR_INIT;
    CLEANUP(mcp_server_config_finish) struct mcp_server_config config = {0};
    if (read_lines(lines, &config, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(config.url, "http://127.0.0.1:8080/mcp");
    assert_int_equal(config.way, MCP_WAY_SSE);
    assert_int_equal(config.era, MCP_ERA_MODERN);
    assert_true(has(&config.headers, "Authorization: Bearer abc"));
    assert_true(has(&config.header_files, "X-Key: /run/key"));
    assert_true(has(&config.exclude, "*_delete"));
    assert_true(config.trusted);
}

static void refuses(const char *line, const char *other, const char *sentence)
{
    const char *const lines[] = {line, other, NULL};
    struct error err = ERROR_INIT;
    struct mcp_server_config config = {0};
    assert_true(read_lines(lines, &config, &err) < 0);
    if (!strstr(err.text, sentence))
        fail_msg("%s: %s", line, err.text);
    assert_null(config.name);
}

static void sentences_that_name_the_key(void **state)
{
    (void)state;
    refuses("s.timeout=5", NULL, "give one of \"command\" and \"url\"");
    refuses("s.command=x", "s.url=http://a/", "give one of");
    refuses("s.url=ftp://a/", NULL, "mcp_servers.s.url");
    refuses("s.url=http://a/", "s.headers.A b=c", "mcp_servers.s.headers");
    refuses("s.url=http://a/", "s.headers.A=c\r\nB: d", "mcp_servers.s.headers");
    refuses("s.command=x", "s.transport=pigeon", "\"pigeon\" is none of");
    refuses("s.command=x", "s.protocol=new", "mcp_servers.s.protocol");
    refuses("s.command=x", "s.trust=yes", "mcp_servers.s.trust");
    refuses("s.command=x", "s.lazy=perhaps", "mcp_servers.s.lazy");
    refuses("s.command=x", "s.timeout=0", "mcp_servers.s.timeout");
    refuses("s.command=x", "s.memory=3", "mcp_servers.s.memory");
}

static void names_of_servers(void **state)
{
    (void)state;
    static const char *const lines[] = {"a.command=x", "b.url=http://b/", "a.lazy=no", NULL};
    struct option_pair pairs[PAIRS_MAX];
    struct option_map map = map_of(lines, pairs);
    struct span names[MCP_SERVERS_MAX];
    struct mcp_server_config config = {0};
    struct error err = ERROR_INIT;
    assert_int_equal(mcp_server_names(&map, names), 2);
    assert_true(span_is(names[0], "a"));
    assert_true(span_is(names[1], "b"));
    assert_int_equal(mcp_config_check(&map, &err), 0);
    assert_int_equal(mcp_server_config_read(&map, SPAN_LITERAL("a b"), &config, &err), -EINVAL);
    for (size_t i = 0; i < map.count; i++)
        free((char *)pairs[i].name);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program),        cmocka_unit_test(a_sandbox),
        cmocka_unit_test(an_address),       cmocka_unit_test(sentences_that_name_the_key),
        cmocka_unit_test(names_of_servers),
    };
    return cmocka_run_group_tests_name("mcp/server_config", tests, NULL, NULL);
}
