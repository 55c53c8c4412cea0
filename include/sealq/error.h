/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file error.h
 * The codes that functions of sealq return when they fail.
 *
 * 0 or positive is success, negative is one of these codes. errno is not part of the API. A code
 * keeps its number for ever.
 */
#ifndef SEALQ_ERROR_H
#define SEALQ_ERROR_H

#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sq_error {
    SQ_OK = 0,
    SQ_EINVAL = -1,       /**< an argument is wrong; nothing was changed */
    SQ_ENOMEM = -2,       /**< out of memory; nothing was changed */
    SQ_EFULL = -3,        /**< no room in time */
    SQ_EEMPTY = -4,       /**< nothing to get in time */
    SQ_ESHUTDOWN = -5,    /**< shut down: no more puts, or nothing left to get */
    SQ_ETIMEDOUT = -6,    /**< not finished in time */
    SQ_ETOOMANY = -7,     /**< more task_done than unfinished items; nothing was counted */
    SQ_EFORK = -8,        /**< made before a fork and used in the child: make a new one there */
    SQ_ETHREAD = -9,      /**< the system would not start a thread */
    SQ_EDEADLOCK = -10,   /**< the caller would wait for itself; nothing was changed */
    SQ_ENOENT = -11,      /**< there is no such file or channel */
    SQ_EEXIST = -12,      /**< there is one already, which stays as it is */
    SQ_EIO = -13,         /**< the system could not read or write */
    SQ_ENOSPACE = -14,    /**< the disk or the quota is full; nothing was changed */
    SQ_EVERSION = -15,    /**< made by a newer sealq */
    SQ_EKEYRING = -16,    /**< a keyring that is damaged, or not safe to use */
    SQ_ENOKEY = -17,      /**< no such key in the keyring */
    SQ_ERETIRED = -18,    /**< a key that was retired */
    SQ_EINUSE = -19,      /**< a key that is still needed */
    SQ_EAUTH = -20,       /**< forged, altered, or sealed for another channel */
    SQ_EFORMAT = -21,     /**< not a well-formed envelope */
    SQ_ECRYPTO = -22,     /**< OpenSSL failed */
    SQ_ELEASE = -23,      /**< the lease is over: the message is no longer this caller's */
    SQ_ESTORE = -24,      /**< a store that is damaged, foreign, or not safe to use */
    SQ_EPOISONED = -25,   /**< a sync failed: the store works again once all have reopened it */
    SQ_EINTERRUPTED = -26 /**< a wait was ended by sq_channel_interrupt() */
};

/**
 * What a code means, in a few words.
 *
 * code        any int; numbers that are not a code of sealq are said to be unknown.
 * Ownership   a constant; do not free it.
 * Threads     any; async-signal-safe.
 */
SQ_API const char *sq_strerror(int code);

/**
 * The name of a code, such as "SQ_EFULL"; "SQ_E?" when it is unknown.
 *
 * code        any int.
 * Ownership   a constant; do not free it.
 * Threads     any; async-signal-safe.
 */
SQ_API const char *sq_error_name(int code);

/**
 * One sentence for a person: what the last failed call of this thread found wrong.
 *
 * More telling than sq_strerror() where the library knows more ("capacity is 5000000000, …"), the
 * same where it does not. Calls that succeed leave it as it is.
 *
 * Ownership   the library's, per thread; valid until this thread's next failed call.
 * Threads     any.
 */
SQ_API const char *sq_last_error_detail(void);

#ifdef __cplusplus
}
#endif
#endif
