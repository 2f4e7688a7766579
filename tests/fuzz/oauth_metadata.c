#include "mcp/oauth_metadata.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"

// Whatever the documents say: what is taken is of that server and that issuer, and its endpoints
// are safe to be asked.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(oauth_resource_finish) struct oauth_resource resource = {0};
    CLEANUP(oauth_server_finish) struct oauth_server server = {0};
    struct span text = span_make(data, size);
    if (oauth_resource_read(text, "https://a.example/mcp", &resource, NULL) == 0)
        REQUIRE(oauth_is_safe_url(resource.issuer, "https://a.example/mcp") && *resource.resource);
    if (oauth_server_read(text, "https://as.example", &server, NULL) == 0) {
        REQUIRE(strcmp(server.issuer, "https://as.example") == 0);
        REQUIRE(oauth_is_safe_url(server.token_endpoint, server.issuer));
        REQUIRE(oauth_is_safe_url(server.authorization_endpoint, server.issuer));
    }
    return 0;
}
