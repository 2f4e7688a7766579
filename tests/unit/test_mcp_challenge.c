#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mcp/challenge.h"

static const char *shown(const char *text)
{
    return text ? text : "-";
}

static void says(const char *header, const char *metadata, const char *scope, const char *error)
{
    CLEANUP(challenge_finish) struct challenge challenge = {0};
    if (!challenge_parse(span_of(header), &challenge))
        fail_msg("%s: no challenge", header);
    if (strcmp(shown(challenge.resource_metadata), shown(metadata)) != 0 ||
        strcmp(shown(challenge.scope), shown(scope)) != 0 ||
        strcmp(shown(challenge.error), shown(error)) != 0)
        fail_msg("%s: %s, %s, %s", header, shown(challenge.resource_metadata),
                 shown(challenge.scope), shown(challenge.error));
}

static void in_every_order(void **state)
{
    (void)state;
    says("Bearer", NULL, NULL, NULL);
    says("bearer realm=\"x\"", NULL, NULL, NULL);
    says("Bearer resource_metadata=\"https://a/b\", scope=\"r w\"", "https://a/b", "r w", NULL);
    says("Bearer scope=read , error = insufficient_scope,resource_metadata=\"u\"", "u", "read",
         "insufficient_scope");
    says("Bearer error=\"a\\\"b\"", NULL, NULL, "a\"b");
    says("Bearer scope=\"first\", scope=\"second\"", NULL, "first", NULL);
}

static void behind_others(void **state)
{
    (void)state;
    says("Basic realm=\"a, Bearer scope=no\", Bearer scope=\"yes\"", NULL, "yes", NULL);
    says("Negotiate dG9r==, Bearer scope=yes", NULL, "yes", NULL);
    says("Bearer scope=yes, Digest scope=no, error=no", NULL, "yes", NULL);
}

static void what_is_broken_says_what_came_before(void **state)
{
    (void)state;
    says("Bearer scope=yes, error=\"never closed", NULL, "yes", NULL);
    says("Bearer scope=yes, error=", NULL, "yes", NULL);
    says("Bearer scope=yes \x01 error=x", NULL, "yes", NULL);
}

static void none(void **state)
{
    (void)state;
    static const char *const headers[] = {"",     "Basic realm=\"x\"",     "scope=\"x\"", "Bearerx",
                                          "\"\"", "Basic scope=\"Bearer\""};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct challenge challenge = {0};
        if (challenge_parse(span_of(headers[i]), &challenge))
            fail_msg("%s was taken for one", headers[i]);
        assert_null(challenge.scope);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_every_order),
        cmocka_unit_test(behind_others),
        cmocka_unit_test(what_is_broken_says_what_came_before),
        cmocka_unit_test(none),
    };
    return cmocka_run_group_tests_name("mcp/challenge", tests, NULL, NULL);
}
