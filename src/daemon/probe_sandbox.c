#include "daemon/probe_sandbox.h"

#include <stddef.h>

#include "sandbox/hands_relay.h"
#include "sandbox/layers.h"
#include "tools/shell.h"

// As shells_configure() decides.
static const char *hands_of(const struct shell_config *config)
{
    enum isolation_kind kind;
    if (!config || !isolation_parse(config->isolation, &kind))
        return NULL;
    bool named = config->hands && *config->hands;
    if (kind == ISOLATION_HANDS)
        return named ? config->hands : hands_socket();
    return kind == ISOLATION_AUTO && named ? config->hands : NULL;
}

void probe_sandbox(const struct shell_config *config, struct report *report)
{
    const char *hands = hands_of(config);
    for (size_t i = 0; i < sandbox_probe_count; i++) {
        char text[SANDBOX_PROBE_TEXT_MAX];
        enum sandbox_state state = sandbox_probes[i](hands, text);
        // Nothing but programs in the sandbox needs one, so it is no failure of the rest.
        report_line(report, state == SANDBOX_FAILS ? REPORT_WARNING : REPORT_OK, "sandbox", "%s",
                    text);
    }
}
