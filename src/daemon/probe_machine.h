#pragma once

#include "daemon/report.h"

void probe_kernel(struct report *report); // what the sandbox and the file tools stand on
void probe_clock(struct report *report);
void probe_home(const char *home, struct report *report); // makes nothing
