#include "mcp/transport.h"

#include "mcp/transport_ops.h"

int mcp_transport_send(struct mcp_transport *transport, const struct mcp_outgoing *message,
                       struct error *err)
{
    return transport->ops->send(transport, message, err);
}

void mcp_transport_abandon(struct mcp_transport *transport, uint64_t request)
{
    transport->ops->abandon(transport, request);
}

void mcp_transport_set_version(struct mcp_transport *transport, const char *version, bool modern)
{
    if (transport->ops->set_version)
        transport->ops->set_version(transport, version, modern);
}

void mcp_transport_listen(struct mcp_transport *transport)
{
    if (transport->ops->listen)
        transport->ops->listen(transport);
}

void mcp_transport_set_headers(struct mcp_transport *transport, const char *const *headers)
{
    if (transport->ops->set_headers)
        transport->ops->set_headers(transport, headers);
}

const char *mcp_transport_notes(const struct mcp_transport *transport)
{
    return transport->ops->notes ? transport->ops->notes(transport) : "";
}

void mcp_transport_destroy(struct mcp_transport *transport)
{
    if (transport)
        transport->ops->destroy(transport);
}
