#pragma once

#include "daemon/report.h"
#include "llm/endpoint.h"
#include "llm/options.h"

// Asks the chosen server for its list of models and reports whether it can be reached, whether it
// takes the key, and whether its clock agrees with ours.
void probe_upstream(const struct endpoint *endpoint, const struct llm_config *llm,
                    const char *ca_file, struct report *report);
