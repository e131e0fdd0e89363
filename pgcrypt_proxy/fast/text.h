/* Plaintext in PostgreSQL's binary form becomes its text output. Only what needs no settings of the session.
 *
 * Each function returns how many bytes it wrote, or -1 when `length` is not the type's; the caller has room
 * for as many as are named beside it. pgcrypt_proxy/values has the reference.
 */
#ifndef PGCRYPT_TEXT_H
#define PGCRYPT_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define MAX_SHORT_TEXT 40

static const char DIGITS[] = "0123456789abcdef";
static int8_t NIBBLES[256];
static unsigned char PAIRS[256][2];

static void text_init(void)
{
    memset(NIBBLES, -1, sizeof NIBBLES);
    for (int i = 0; i < 256; i++) {
        PAIRS[i][0] = (unsigned char)DIGITS[i >> 4];
        PAIRS[i][1] = (unsigned char)DIGITS[i & 15];
    }
    for (int i = 0; i < 16; i++) {
        NIBBLES[(unsigned char)DIGITS[i]] = (int8_t)i;
        NIBBLES[(unsigned char)"0123456789ABCDEF"[i]] = (int8_t)i;
    }
}

/* `digits` is even; whether all are hexadecimal digits. */
static int hex_decode(const unsigned char *in, size_t digits, unsigned char *out)
{
    int bad = 0;
    size_t i = 0;
#ifdef __SSE2__
    const __m128i nine = _mm_set1_epi8(9), five = _mm_set1_epi8(5), high_nibble = _mm_set1_epi16(0x00f0);
    for (; digits - i >= 16; i += 16, out += 8) {
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)(in + i));
        __m128i digit = _mm_sub_epi8(text, _mm_set1_epi8('0'));
        __m128i letter = _mm_sub_epi8(_mm_or_si128(text, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, nine), digit);
        __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, five), letter);
        if (_mm_movemask_epi8(_mm_or_si128(is_digit, is_letter)) != 0xffff)
            return 0;
        __m128i values = _mm_or_si128(_mm_and_si128(is_digit, digit),
                                      _mm_and_si128(is_letter, _mm_add_epi8(letter, _mm_set1_epi8(10))));
        __m128i pairs = _mm_or_si128(_mm_and_si128(_mm_slli_epi16(values, 4), high_nibble), _mm_srli_epi16(values, 8));
        _mm_storel_epi64((__m128i *)(void *)out, _mm_packus_epi16(pairs, pairs));
    }
#endif
    for (; i < digits; i += 2) {
        int high = NIBBLES[in[i]], low = NIBBLES[in[i + 1]];
        bad |= high | low;
        *out++ = (unsigned char)(((unsigned)high << 4) | ((unsigned)low & 15u));
    }
    return bad >= 0;
}

/* `in` may be the second half of `out`: each byte is read before it is written over. */
static void hex_encode(const unsigned char *in, size_t length, unsigned char *out)
{
    size_t i = 0;
#ifdef __SSE2__
    const __m128i nine = _mm_set1_epi8(9), low_nibble = _mm_set1_epi8(15);
    for (; length - i >= 8; i += 8, out += 16) {
        __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(in + i));
        __m128i values = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(bytes, 4), low_nibble),
                                           _mm_and_si128(bytes, low_nibble));
        __m128i letters = _mm_and_si128(_mm_cmpgt_epi8(values, nine), _mm_set1_epi8('a' - 10 - '0'));
        __m128i text = _mm_add_epi8(_mm_add_epi8(values, _mm_set1_epi8('0')), letters);
        _mm_storeu_si128((__m128i *)(void *)out, text);
    }
#endif
    for (; i < length; i++, out += 2)
        memcpy(out, PAIRS[in[i]], 2);
}

static uint32_t load32(const unsigned char *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static void store32(unsigned char *out, uint32_t value)
{
    out[0] = (unsigned char)(value >> 24);
    out[1] = (unsigned char)(value >> 16);
    out[2] = (unsigned char)(value >> 8);
    out[3] = (unsigned char)value;
}

/* int2, int4, int8: 20 bytes. */
static int integer_text(const unsigned char *in, size_t length, size_t wanted, unsigned char *out)
{
    if (length != wanted)
        return -1;
    uint64_t bits = in[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < length; i++)
        bits = bits << 8 | in[i];
    int is_negative = (bits >> 63) != 0, at = 20;
    uint64_t left = is_negative ? 0 - bits : bits;
    unsigned char made[20];
    do {
        made[--at] = (unsigned char)('0' + left % 10);
        left /= 10;
    } while (left != 0);
    if (is_negative)
        *out++ = '-';
    memcpy(out, made + at, (size_t)(20 - at));
    return 20 - at + is_negative;
}

/* 36 bytes. */
static int uuid_text(const unsigned char *in, size_t length, unsigned char *out)
{
    static const unsigned char groups[] = {4, 2, 2, 2, 6};
    unsigned char *at = out;
    if (length != 16)
        return -1;
    for (int g = 0; g < 5; g++) {
        if (g > 0)
            *at++ = '-';
        hex_encode(in, groups[g], at);
        at += 2 * groups[g];
        in += groups[g];
    }
    return 36;
}

/* A date in ISO style, years 1 to 9999 only (others are left to Python): 10 bytes. */
static int iso_date_text(const unsigned char *in, size_t length, unsigned char *out)
{
    if (length != 4)
        return -1;
    uint32_t bits = load32(in);
    int64_t days = bits & 0x80000000u ? (int64_t)bits - 0x100000000 : (int64_t)bits;
    days += 730425; /* from 2000-01-01 to days since 0000-03-01 of the proleptic Gregorian calendar */
    if (days < 306 || days > 3652364)
        return -1;
    uint32_t d = (uint32_t)days, era = d / 146097, doe = d % 146097;
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    uint32_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    uint32_t year = era * 400 + yoe + (month <= 2);
    if (year < 1 || year > 9999)
        return -1;
    for (int i = 3; i >= 0; i--, year /= 10)
        out[i] = (unsigned char)('0' + year % 10);
    out[4] = out[7] = '-';
    out[5] = (unsigned char)('0' + month / 10);
    out[6] = (unsigned char)('0' + month % 10);
    out[8] = (unsigned char)('0' + day / 10);
    out[9] = (unsigned char)('0' + day % 10);
    return 10;
}

#endif
