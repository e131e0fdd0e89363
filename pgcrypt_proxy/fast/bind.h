/* Bind messages (protocol-message-formats.html): where their parts are. */
#ifndef PGCRYPT_BIND_H
#define PGCRYPT_BIND_H

#include <time.h>

static double monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned load16(const unsigned char *at)
{
    return (unsigned)(at[0] << 8 | at[1]);
}

static void store16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

/* The count of result formats of a whole Bind, with the formats behind it to the message's end; NULL if malformed. */
static const unsigned char *bind_formats(const unsigned char *bind, size_t size)
{
    const unsigned char *at = bind + 5, *end = bind + size;
    for (int names = 0; names < 2; names++) {
        const unsigned char *name_end = memchr(at, 0, (size_t)(end - at));
        if (name_end == NULL)
            return NULL;
        at = name_end + 1;
    }
    if (end - at < 2 || (size_t)(end - at - 2) < 2 * (size_t)load16(at))
        return NULL;
    at += 2 + 2 * (size_t)load16(at);
    if (end - at < 2)
        return NULL;
    unsigned count = load16(at);
    at += 2;
    for (unsigned i = 0; i < count; i++) {
        if (end - at < 4)
            return NULL;
        uint32_t length = load32(at);
        at += 4;
        if (length == UINT32_MAX)
            continue;
        if (length > (size_t)(end - at))
            return NULL;
        at += length;
    }
    if (end - at < 2 || (size_t)(end - at) != 2 + 2 * (size_t)load16(at))
        return NULL;
    return at;
}

#endif
