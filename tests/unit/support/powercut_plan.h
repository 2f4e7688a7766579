#pragma once

#include "support/powercut_vfs.h"

/*
 * Which cuts a run tries. Every operation is cut in any case. At full depth
 * (HERMES_TEST_DEPTH=full) it is cut with every kind of loss; else with one of them, which changes
 * from operation to operation and, by HERMES_TEST_TURN, from commit to commit. POWERCUT_SEEDS=20
 * tries each cut so often with other random numbers, for a night.
 */
bool powercut_takes(int operation, enum powercut_loss loss);
int64_t powercut_seeds(void);

// Runs it first whole (operation 0), then with each cut of the plan. It returns how many operations
// there were.
void powercut_everywhere(int (*once)(int operation, enum powercut_loss loss, uint64_t seed));
