#pragma once

#include "base/error.h"

int privileges_seal(struct error *err); // nothing that is executed gains any
int privileges_drop(struct error *err); // all capabilities, for good
