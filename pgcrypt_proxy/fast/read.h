/* Values in text or binary format become plaintext in PostgreSQL's binary form. Only what is written plainly.
 *
 * Each function says whether it read the value; what it did not is the caller's to give to Python, even if it is
 * right. pgcrypt_proxy/values has the reference.
 */
#ifndef PGCRYPT_READ_H
#define PGCRYPT_READ_H

#include "text.h"

/* Whether it is UTF-8 without NUL, as Python's strict decoder takes it; then how many characters it has. */
static int utf8_read(const unsigned char *in, size_t length, size_t *characters)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    size_t at = 0, count = 0;
    while (at < length) {
        uint64_t word;
        while (length - at >= sizeof word) {
            memcpy(&word, in + at, sizeof word);
            if ((word & tops) != 0 || ((word - ones) & ~word & tops) != 0)
                break;
            at += sizeof word;
            count += sizeof word;
        }
        if (at == length)
            break;
        unsigned char first = in[at], low = 0x80, high = 0xbf;
        size_t more;
        if (first < 0x80) {
            if (first == 0)
                return 0;
            more = 0;
        } else if (first < 0xc2) {
            return 0;
        } else if (first < 0xe0) {
            more = 1;
        } else if (first < 0xf0) {
            more = 2;
            if (first == 0xe0)
                low = 0xa0;
            else if (first == 0xed)
                high = 0x9f;
        } else if (first < 0xf5) {
            more = 3;
            if (first == 0xf0)
                low = 0x90;
            else if (first == 0xf4)
                high = 0x8f;
        } else {
            return 0;
        }
        if (length - at <= more)
            return 0;
        for (size_t i = 1; i <= more; i++) {
            if (in[at + i] < low || in[at + i] > high)
                return 0;
            low = 0x80;
            high = 0xbf;
        }
        at += more + 1;
        count++;
    }
    *characters = count;
    return 1;
}

static void store_integer(unsigned char *out, int64_t value, size_t length)
{
    uint64_t bits = (uint64_t)value;
    for (size_t i = length; i > 0; i--, bits >>= 8)
        out[i - 1] = (unsigned char)bits;
}

/* Decimal digits, at most 18, with a sign or not; `length` bytes of int2, int4 or int8. */
static int integer_read(const unsigned char *in, size_t digits, size_t length, unsigned char *out)
{
    int is_negative = digits > 0 && in[0] == '-';
    if (digits > 0 && (in[0] == '-' || in[0] == '+')) {
        in++;
        digits--;
    }
    if (digits < 1 || digits > 18)
        return 0;
    int64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (in[i] < '0' || in[i] > '9')
            return 0;
        value = 10 * value + (in[i] - '0');
    }
    if (is_negative)
        value = -value;
    int64_t limit = length == 2 ? INT16_MAX : length == 4 ? INT32_MAX : INT64_MAX;
    if (value > limit || value < -limit - 1)
        return 0;
    store_integer(out, value, length);
    return 1;
}

static int bool_read(const unsigned char *in, size_t length, unsigned char *out)
{
    int is_true = (length == 1 && (in[0] == 't' || in[0] == '1')) || (length == 4 && memcmp(in, "true", 4) == 0);
    int is_false = (length == 1 && (in[0] == 'f' || in[0] == '0')) || (length == 5 && memcmp(in, "false", 5) == 0);
    out[0] = (unsigned char)is_true;
    return is_true || is_false;
}

/* The form that uuid's output has, in any case. */
static int uuid_read(const unsigned char *in, size_t length, unsigned char *out)
{
    unsigned char digits[32];
    size_t count = 0;
    if (length != 36)
        return 0;
    for (size_t i = 0; i < length; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (in[i] != '-')
                return 0;
        } else {
            digits[count++] = in[i];
        }
    }
    return hex_decode(digits, sizeof digits, out);
}

static int two_digits(const unsigned char *in)
{
    return in[0] < '0' || in[0] > '9' || in[1] < '0' || in[1] > '9' ? -1 : 10 * (in[0] - '0') + in[1] - '0';
}

/* 2024-12-31: the same day whatever DateStyle says. */
static int date_read(const unsigned char *in, size_t length, unsigned char *out)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (length != 10 || in[4] != '-' || in[7] != '-')
        return 0;
    int century = two_digits(in), short_year = two_digits(in + 2), month = two_digits(in + 5), day = two_digits(in + 8);
    if (century < 0 || short_year < 0 || month < 1 || month > 12 || day < 1)
        return 0;
    int year = 100 * century + short_year;
    int is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < 1 || day > lengths[month - 1] + (month == 2 && is_leap))
        return 0;
    if (month <= 2)
        year--;
    int era = year / 400, of_era = year % 400, of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t days = (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    store_integer(out, days - 730425, 4); /* to days from 2000-01-01, from days since 0000-03-01 */
    return 1;
}

/* An integer's equality class without its prefix, as values/numeric.py writes it: 23 bytes. */
static size_t integer_key(const unsigned char *in, size_t length, unsigned char *out)
{
    int made = integer_text(in, length, length, out), zeros = 0;
    if (made == 1 && out[0] == '0')
        return 1;
    while (out[made - 1] == '0') {
        made--;
        zeros++;
    }
    out[made++] = 'e';
    if (zeros >= 10)
        out[made++] = (unsigned char)('0' + zeros / 10);
    out[made++] = (unsigned char)('0' + zeros % 10);
    return (size_t)made;
}

#endif
