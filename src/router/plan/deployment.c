#include "router/plan/deployment.h"

#include "llm/upstream.h"
#include "router/wire/unbounded_cost.h"

// What the configuration adds to each request may make it dearer than the model's own price.
static bool adds_cost(const struct router_deployment *d)
{
    struct request_scan scan;
    struct request_terms terms = {.strict_members = false};
    return request_scan_run(&scan, span_of(d->params), NULL) < 0 ||
           request_has_unbounded_cost(&scan, &terms, NULL);
}

bool router_deployment_price_is_listed(const struct router_deployment *d)
{
    struct upstream_options options = {.base_url = d->base_url, .provider = d->provider};
    return !router_price_known(&d->price) && d->format && !d->trouble &&
           upstream_lists_prices(&options) && !adds_cost(d);
}
