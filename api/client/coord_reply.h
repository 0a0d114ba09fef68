/* SPDX-License-Identifier: Apache-2.0 */
/* The public forms of requests and replies (weir/coord.h), into and out of the bytes of runtime/coord/protocol.h. */
#ifndef WEIR_API_CLIENT_COORD_REPLY_H
#define WEIR_API_CLIENT_COORD_REPLY_H

#include "api/client/coord_client.h"

/* Appends them to request->ops. Errors: BAD_ARGUMENTS, LIMIT: outside the bounds of the format; the server would end the connection. */
enum weir_coord_err request_put_ops(struct request *request, const struct weir_coord_op *ops, uint32_t n);
enum weir_coord_err request_put_reads(struct request *request, const struct weir_coord_read *reads, uint32_t n);

/* Makes the reply of an ANSWER. A body that is none becomes MARSHALLING. weir_coord_reply_close frees it. */
void reply_make(struct weir_coord_reply *out, const struct coord_client_actions *actions, const struct coord_client_action *answer);

#endif
