#pragma once

#include "daemon/probe.h"

void probe_sandbox(struct report *report); // which layers hold on this kernel
