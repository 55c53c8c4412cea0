/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/complain.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "sealq/error.h"

#define LINE_BYTES_MAX 1024

/* Not flockfile(3): that ThreadSanitizer does not see. */
static pthread_mutex_t stderr_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void sqi_lock_stderr(void)
{
    pthread_mutex_lock(&stderr_lock);
}

bool sqi_try_lock_stderr(void)
{
    return pthread_mutex_trylock(&stderr_lock) == 0;
}

void sqi_unlock_stderr(void)
{
    pthread_mutex_unlock(&stderr_lock);
}

/* The size of the UTF-8 sequence at text that is safe to print; 0 when its first byte is not:
   a control character (C0, DEL, C1) or no UTF-8. Overlong forms and surrogates are let through
   to the terminal: they print a replacement character there and steer nothing. */
static size_t printable_bytes(const unsigned char *text)
{
    unsigned char c = text[0];
    size_t size = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : 4;
    if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xc2) || c > 0xf4)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool is_c1 = c == 0xc2 && text[1] < 0xa0;
    return is_c1 ? 0 : size;
}

void sqi_print_escaped(FILE *file, const char *line)
{
    const unsigned char *text = (const unsigned char *)line;
    while (*text) {
        size_t size = printable_bytes(text);
        if (size > 0)
            fwrite(text, 1, size, file);
        else
            fprintf(file, "\\x%02x", *text);
        text += size > 0 ? size : 1;
    }
}

int sqi_complain(int exit_code, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    sqi_lock_stderr(); /* one line, whatever other threads have to say */
    fputs("sealq: ", stderr);
    sqi_print_escaped(stderr, line);
    fputc('\n', stderr);
    sqi_unlock_stderr();
    return exit_code;
}

static int exit_code_of(int error)
{
    switch (error) {
    case SQ_EINVAL:
    case SQ_EFULL:
    case SQ_ENOKEY:
    case SQ_ERETIRED:
    case SQ_EINUSE:
        return SQI_EXIT_USAGE;
    case SQ_ENOENT:
        return SQI_EXIT_NO_INPUT;
    case SQ_EAUTH:
    case SQ_EFORMAT:
        return SQI_EXIT_DATA;
    case SQ_ESHUTDOWN:
        return SQI_EXIT_CLOSED;
    case SQ_EEXIST:
        return SQI_EXIT_EXISTS;
    case SQ_EIO:
    case SQ_ENOSPACE:
    case SQ_EPOISONED:
        return SQI_EXIT_IO;
    case SQ_ELEASE:
        return SQI_EXIT_LEASE;
    case SQ_ETIMEDOUT:
        return SQI_EXIT_TIMED_OUT;
    case SQ_EKEYRING:
    case SQ_ESTORE:
    case SQ_EVERSION:
        return SQI_EXIT_KEYRING;
    case SQ_ENOMEM:
    case SQ_ETHREAD:
        return SQI_EXIT_SYSTEM;
    default:
        return SQI_EXIT_SOFTWARE;
    }
}

int sqi_complain_of(int error, const char *what)
{
    return sqi_complain(exit_code_of(error), "%s%s%s", what ? what : "", what ? ": " : "",
                        sq_last_error_detail());
}

int sqi_finish_output(int exit_code)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return sqi_complain(SQI_EXIT_IO,
                            "cannot write the output: %s: free some space or write elsewhere",
                            strerror(errno));
    return exit_code;
}
