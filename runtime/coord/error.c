/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/error.h"

const char *coord_err_name(unsigned err)
{
    switch ((enum coord_err)err) {
    case COORD_OK: return "OK";
    case COORD_RUNTIME_INCONSISTENCY: return "RUNTIME_INCONSISTENCY";
    case COORD_MARSHALLING: return "MARSHALLING";
    case COORD_UNIMPLEMENTED: return "UNIMPLEMENTED";
    case COORD_BAD_ARGUMENTS: return "BAD_ARGUMENTS";
    case COORD_NO_NODE: return "NO_NODE";
    case COORD_NO_AUTH: return "NO_AUTH";
    case COORD_BAD_VERSION: return "BAD_VERSION";
    case COORD_NO_CHILDREN_FOR_EPHEMERALS: return "NO_CHILDREN_FOR_EPHEMERALS";
    case COORD_NODE_EXISTS: return "NODE_EXISTS";
    case COORD_NOT_EMPTY: return "NOT_EMPTY";
    case COORD_SESSION_EXPIRED: return "SESSION_EXPIRED";
    case COORD_INVALID_ACL: return "INVALID_ACL";
    case COORD_AUTH_FAILED: return "AUTH_FAILED";
    case COORD_SESSION_MOVED: return "SESSION_MOVED";
    case COORD_NO_WATCHER: return "NO_WATCHER";
    case COORD_QUOTA_EXCEEDED: return "QUOTA_EXCEEDED";
    case COORD_THROTTLED: return "THROTTLED";
    case COORD_NO_QUORUM: return "NO_QUORUM";
    case COORD_LIMIT: return "LIMIT";
    case COORD_OUTCOME_FORGOTTEN: return "OUTCOME_FORGOTTEN";
    case COORD_CLIENT_AHEAD: return "CLIENT_AHEAD";
    }
    return "UNKNOWN";
}
