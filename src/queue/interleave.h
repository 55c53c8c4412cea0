/* SPDX-License-Identifier: Apache-2.0 */
/* Between any two steps of the queue another thread may run. Test builds make that likely: they
   define SQI_TEST_INTERLEAVE and a function that now and then lets others go first. */
#ifndef SQI_QUEUE_INTERLEAVE_H
#define SQI_QUEUE_INTERLEAVE_H

#ifdef SQI_TEST_INTERLEAVE
void sqi_interleave(void);
#define SQI_INTERLEAVE() sqi_interleave()
#else
#define SQI_INTERLEAVE() ((void)0)
#endif

#endif
