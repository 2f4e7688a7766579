#pragma once

struct http_exchange;
struct metrics;

// Answers with the page of all metrics, the same on every port that has one. A page that is too
// large is a 500 that says so: half of one would look like a restart. NULL metrics: an empty page.
void metrics_page_answer(struct http_exchange *exchange, const struct metrics *metrics);
