#include "mcp/transport.h"

#include <stdio.h>
#include <string.h>

#include "mcp/transport_ops.h"

enum { NOTES_SHOWN = 200 }; // bytes, of the end

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

void mcp_transport_explain(const struct mcp_transport *transport, struct error *err)
{
    char text[ERROR_TEXT_MAX];
    const char *notes = transport ? mcp_transport_notes(transport) : "";
    size_t len = strlen(notes);
    if (!len)
        return;
    snprintf(text, sizeof text - NOTES_SHOWN, "%s", err->text);
    error_set(err, err->code, "%s; it wrote: %s", text,
              notes + (len > NOTES_SHOWN ? len - NOTES_SHOWN : 0));
}

void mcp_transport_destroy(struct mcp_transport *transport)
{
    if (transport)
        transport->ops->destroy(transport);
}
