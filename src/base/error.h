/* SPDX-License-Identifier: Apache-2.0 */
/* How functions of sealq fail: every error code leaves through one of these. */
#ifndef SQI_BASE_ERROR_H
#define SQI_BASE_ERROR_H

#include "base/export.h"
#include "sealq/error.h"

/* The last code of the list in sealq/error.h: all from it to 0 are in use. */
#define SQI_ERROR_LEAST SQ_EINTERRUPTED

/* Returns code, and makes sq_last_error_detail() say what the code means: for the ordinary
   outcomes (full, empty, timed out), which must cost next to nothing. */
SQI_API int sqi_fail(int code);

/* Returns code, and makes sq_last_error_detail() say this sentence, without a final stop. */
SQI_API int sqi_fail_with(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
