/* SPDX-License-Identifier: Apache-2.0 */
/* Seals what comes on standard input: seal KEYRING CHANNEL [HEADER=VALUE]… < body > envelope */
#include <sealq/sealq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(void)
{
    fprintf(stderr, "seal: %s\n", sq_last_error_detail());
    return 1;
}

int main(int argc, char **argv)
{
    sq_keyring *keyring;
    sq_sealer *sealer;
    sq_header headers[16];
    if (argc < 3 || argc > 3 + 16) {
        fprintf(stderr, "usage: seal KEYRING CHANNEL [HEADER=VALUE]... < body > envelope\n");
        return 64;
    }
    char *body = malloc(SQ_BODY_BYTES_MAX + 1);
    if (!body)
        return 1;
    sq_content content = {.body = body, .headers = headers, .is_padded = getenv("PADDED") != NULL};
    content.body_bytes = fread(body, 1, SQ_BODY_BYTES_MAX + 1, stdin); /* one more is refused */
    for (int i = 3; i < argc; i++) {
        size_t name_bytes = strcspn(argv[i], "=");
        const char *value = argv[i] + name_bytes + (argv[i][name_bytes] == '=');
        headers[content.header_count++] = (sq_header){argv[i], value, name_bytes, strlen(value)};
    }

    if (sq_keyring_open(argv[1], &keyring) < 0 ||
        sq_sealer_create(keyring, argv[2], SQ_KIND_MESSAGE, &sealer) < 0)
        return fail();
    size_t room = sq_sealed_bytes(&content);
    void *envelope = room ? malloc(room) : NULL;
    ssize_t bytes = sq_seal(sealer, &content, envelope, room);
    if (bytes < 0)
        return fail();
    fwrite(envelope, 1, (size_t)bytes, stdout);

    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
    free(envelope);
    free(body);
    return fflush(stdout) == 0 ? 0 : 1;
}
