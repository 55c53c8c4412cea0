/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, clocks and the sentences of failed calls. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "testing.h"

static void every_code_has_a_name_and_a_meaning_of_its_own(void **state)
{
    (void)state;
    for (int code = 0; code >= SQI_ERROR_LEAST; code--) {
        assert_true(strncmp(sq_error_name(code), "SQ_", 3) == 0);
        assert_string_not_equal(sq_error_name(code), "SQ_E?");
        assert_string_not_equal(sq_strerror(code), "unknown error");
        for (int other = 0; other > code; other--) {
            assert_string_not_equal(sq_error_name(code), sq_error_name(other));
            assert_string_not_equal(sq_strerror(code), sq_strerror(other));
        }
    }
}

static void other_numbers_are_unknown_errors(void **state)
{
    (void)state;
    static const int others[] = {1, 1000, SQI_ERROR_LEAST - 1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_string_equal(sq_strerror(others[i]), "unknown error");
        assert_string_equal(sq_error_name(others[i]), "SQ_E?");
    }
}

static void detail_is_the_sentence_of_the_last_failure(void **state)
{
    (void)state;
    assert_int_equal(sqi_fail_with(SQ_EINVAL, "n is %d", 7), SQ_EINVAL);
    assert_string_equal(sq_last_error_detail(), "n is 7");
    assert_int_equal(sqi_fail(SQ_EFULL), SQ_EFULL);
    assert_string_equal(sq_last_error_detail(), sq_strerror(SQ_EFULL));
}

static void *fail_elsewhere(void *unused)
{
    sqi_fail_with(SQ_EINVAL, "elsewhere");
    return unused;
}

static void detail_is_a_threads_own(void **state)
{
    (void)state;
    sqi_fail_with(SQ_EINVAL, "here");
    assert_int_equal(end_thread(start_thread(fail_elsewhere, NULL)), 0);
    assert_string_equal(sq_last_error_detail(), "here");
}

static void long_sentences_are_cut_not_overrun(void **state)
{
    (void)state;
    char sentence[2000];
    memset(sentence, 'x', sizeof sentence - 1);
    sentence[sizeof sentence - 1] = '\0';
    sqi_fail_with(SQ_EINVAL, "%s", sentence);
    assert_in_range(strlen(sq_last_error_detail()), 100, 1000);
}

static void deadlines_are_after_now_and_saturate(void **state)
{
    (void)state;
    int64_t now_ns = sqi_now_ns();
    assert_true(sqi_deadline_after(1000) - now_ns >= 1000 * SQI_NS_PER_MS);
    assert_true(sqi_deadline_after(SQ_FOREVER) == SQI_NEVER);
    assert_true(sqi_deadline_after(INT64_MAX) == SQI_NEVER);
    assert_true(sqi_deadline_after(INT64_MAX / SQI_NS_PER_MS) == SQI_NEVER);
}

static void version_is_the_headers(void **state)
{
    (void)state;
    assert_string_equal(sq_version(), SQ_VERSION_STRING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_a_meaning_of_its_own),
        cmocka_unit_test(other_numbers_are_unknown_errors),
        cmocka_unit_test(detail_is_the_sentence_of_the_last_failure),
        cmocka_unit_test(detail_is_a_threads_own),
        cmocka_unit_test(long_sentences_are_cut_not_overrun),
        cmocka_unit_test(deadlines_are_after_now_and_saturate),
        cmocka_unit_test(version_is_the_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
