/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sealq.h
 * All of sealq: the umbrella header. One header a concept lies beside it.
 */
#ifndef SEALQ_SEALQ_H
#define SEALQ_SEALQ_H

#include "consumer.h"
#include "envelope.h"
#include "error.h"
#include "keyring.h"
#include "queue.h"
#include "version.h"

#endif
