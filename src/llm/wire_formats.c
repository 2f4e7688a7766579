#include "llm/wire_format.h"

// Alone in its file, so that a test can link a table of its own.
const struct wire_format *const wire_formats[] = {&wire_openai_chat, NULL};
