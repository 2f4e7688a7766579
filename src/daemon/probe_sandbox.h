#pragma once

#include "daemon/report.h"

void probe_sandbox(struct report *report); // which layers hold on this kernel
