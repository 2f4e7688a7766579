#include "daemon/probe_sandbox.h"

#include "sandbox/layers.h"

void probe_sandbox(struct report *report)
{
    for (size_t i = 0; i < sandbox_probe_count; i++) {
        char text[SANDBOX_PROBE_TEXT_MAX];
        enum sandbox_state state = sandbox_probes[i](text);
        // Nothing but programs in the sandbox needs one, so it is no failure of the rest.
        report_line(report, state == SANDBOX_FAILS ? REPORT_WARNING : REPORT_OK, "sandbox", "%s",
                    text);
    }
}
