// Goes when mcp/stdio.c, mcp/http.c and mcp/sse.c come, which define these.
#include <errno.h>

#include "mcp/transport.h"

int mcp_stdio_create(struct loop *loop, struct processes *processes,
                     const struct mcp_program *program, const struct mcp_transport_events *events,
                     void *context, struct mcp_transport **ret_transport, struct error *err)
{
    (void)loop, (void)processes, (void)program, (void)events, (void)context, (void)ret_transport;
    return error_set(err, -ENOTSUP, "no programs yet");
}

int mcp_http_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                    const struct mcp_transport_events *events, void *context,
                    struct mcp_transport **ret_transport, struct error *err)
{
    (void)loop, (void)http, (void)address, (void)events, (void)context, (void)ret_transport;
    return error_set(err, -ENOTSUP, "no HTTP yet");
}

int mcp_sse_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                   const struct mcp_transport_events *events, void *context,
                   struct mcp_transport **ret_transport, struct error *err)
{
    (void)loop, (void)http, (void)address, (void)events, (void)context, (void)ret_transport;
    return error_set(err, -ENOTSUP, "no SSE yet");
}
