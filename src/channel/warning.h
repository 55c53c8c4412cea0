/* SPDX-License-Identifier: Apache-2.0 */
/* One warning for each key id that is missing or retired. */
#ifndef SQI_CHANNEL_WARNING_H
#define SQI_CHANNEL_WARNING_H

#include "channel/channel.h"

/* code is SQ_ENOKEY or SQ_ERETIRED. */
void sqi_warn_of_key(sq_channel *channel, int code, const uint8_t id[SQI_KEY_ID_BYTES]);

#endif
