/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sealq.h
 * All of sealq: the umbrella header. One header a concept lies beside it.
 */
#ifndef SEALQ_SEALQ_H
#define SEALQ_SEALQ_H

#include "channel.h"
#include "consumer.h"
#include "envelope.h"
#include "error.h"
#include "keyring.h"
#include "listing.h"
#include "message.h"
#include "queue.h"
#include "store.h"
#include "version.h"

#endif
