/* Rows of COPY's text and CSV formats: where their fields are, and how a field's value is read and written.
 *
 * Takes rows that are whole and plainly right; any other is the caller's to give to Python, which waits for its
 * rest or says what is wrong. pgcrypt_proxy/wire/copy_lines.py and copy_fields.py have the reference.
 */
#ifndef PGCRYPT_LINES_H
#define PGCRYPT_LINES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What a byte may mean outside of quotes; PLAIN is 0 so that runs of it are found fast. */
enum { PLAIN, DELIMITER, CARRIAGE_RETURN, NEWLINE, BACKSLASH, QUOTE };

#define MAX_MARKER 64

/* How \b and the five after it are written behind a backslash. */
static const char LETTERS[] = "btnvfr";

typedef struct {
    uint8_t is_csv, is_single, has_default, delimiter, quote, mark;
    uint8_t null_length, default_length;
    unsigned char null[MAX_MARKER], default_[MAX_MARKER];
    uint8_t meaning[256];    /* where fields end */
    uint8_t is_special[256]; /* what a written value cannot hold as it is */
} Form;

/* A field without its delimiters; `is_marked` when it holds a backslash (text) or a quote (CSV). */
typedef struct {
    size_t start, end;
    int is_marked;
} Span;

static void form_init(Form *form)
{
    form->meaning[form->delimiter] = DELIMITER;
    form->meaning['\r'] = CARRIAGE_RETURN;
    form->meaning['\n'] = NEWLINE;
    form->mark = form->is_csv ? form->quote : '\\';
    form->meaning[form->mark] = form->is_csv ? QUOTE : BACKSLASH;
    for (const char *c = form->is_csv ? "\r\n" : "\\\b\f\n\r\t\v"; *c; c++)
        form->is_special[(unsigned char)*c] = 1;
    form->is_special[form->delimiter] = 1;
    if (form->is_csv)
        form->is_special[form->quote] = 1;
}

/* Where the next byte is that means something outside of quotes, or `end`. */
static size_t skip_plain(const Form *form, const unsigned char *in, size_t at, size_t end)
{
#ifdef __SSE2__
    const __m128i delimiter = _mm_set1_epi8((char)form->delimiter), mark = _mm_set1_epi8((char)form->mark);
    const __m128i newline = _mm_set1_epi8('\n'), carriage_return = _mm_set1_epi8('\r');
    for (; end - at >= 16; at += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)(in + at));
        __m128i found = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(text, delimiter), _mm_cmpeq_epi8(text, mark)),
            _mm_or_si128(_mm_cmpeq_epi8(text, newline), _mm_cmpeq_epi8(text, carriage_return)));
        int mask = _mm_movemask_epi8(found);
        if (mask != 0)
            return at + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (at < end && form->meaning[in[at]] == PLAIN)
        at++;
    return at;
}

/* The row at `at`, which ends in `eol` (one byte or two); returns where the next begins, 0 if it is not such a row. */
static size_t line_read(const Form *form, const unsigned char *in, size_t at, size_t end, const unsigned char *eol,
                        size_t eol_length, Span *spans, size_t count)
{
    if (form->is_csv && end - at >= 2 && in[at] == '\\' && in[at + 1] == '.')
        return 0;
    for (size_t field = 0; field < count; field++) {
        Span *span = &spans[field];
        span->start = at;
        span->is_marked = 0;
        for (;;) {
            at = skip_plain(form, in, at, end);
            if (at == end)
                return 0;
            uint8_t meaning = form->meaning[in[at]];
            if (meaning == BACKSLASH) {
                if (end - at < 2 || in[at + 1] == '.')
                    return 0;
                at += 2;
            } else if (meaning == QUOTE) {
                const unsigned char *closing = memchr(in + at + 1, form->quote, end - at - 1);
                if (closing == NULL)
                    return 0;
                at = (size_t)(closing - in) + 1;
            } else {
                break;
            }
            span->is_marked = 1;
        }
        span->end = at;
        if (field + 1 < count) {
            if (in[at] != form->delimiter)
                return 0;
            at++;
        } else if (end - at < eol_length || memcmp(in + at, eol, eol_length) != 0) {
            return 0;
        }
    }
    return at + eol_length;
}

/* Whether a field holds a value: no NULL, and not the marker of a default. */
static int is_value(const Form *form, const unsigned char *raw, size_t length)
{
    if (length == form->null_length && memcmp(raw, form->null, length) == 0)
        return 0;
    return !(form->has_default && length == form->default_length && memcmp(raw, form->default_, length) == 0);
}

static int octal_digit(const unsigned char *in, size_t at, size_t length)
{
    return at < length && in[at] >= '0' && in[at] <= '7' ? in[at] - '0' : -1;
}

static int hex_digit(const unsigned char *in, size_t at, size_t length)
{
    return at < length ? NIBBLES[in[at]] : -1;
}

/* The value of a text field with backslashes into `out`, which takes `length` bytes; returns its length. */
static size_t text_unescape(const unsigned char *in, size_t length, unsigned char *out)
{
    size_t at = 0, made = 0;
    while (at < length) {
        if (in[at] != '\\') {
            out[made++] = in[at++];
            continue;
        }
        if (++at == length)
            break;
        unsigned char c = in[at];
        int digit = octal_digit(in, at, length), value;
        if (digit >= 0) {
            value = 0;
            for (int i = 0; i < 3 && (digit = octal_digit(in, at, length)) >= 0; i++, at++)
                value = 8 * value + digit;
            out[made++] = (unsigned char)value;
            continue;
        }
        if (c == 'x' && (digit = hex_digit(in, at + 1, length)) >= 0) {
            value = digit;
            at += 2;
            if ((digit = hex_digit(in, at, length)) >= 0) {
                value = 16 * value + digit;
                at++;
            }
            out[made++] = (unsigned char)value;
            continue;
        }
        const char *letter = memchr(LETTERS, c, sizeof LETTERS - 1);
        out[made++] = letter == NULL ? c : (unsigned char)('\b' + (letter - LETTERS));
        at++;
    }
    return made;
}

/* The value of a CSV field with quotes into `out`, which takes `length` bytes; returns its length. */
static size_t csv_unquote(unsigned char quote, const unsigned char *in, size_t length, unsigned char *out)
{
    size_t made = 0;
    int is_inside = 0, has_just_closed = 0;
    for (size_t at = 0; at < length; at++) {
        if (in[at] != quote) {
            out[made++] = in[at];
            has_just_closed = 0;
        } else if (is_inside) {
            is_inside = 0;
            has_just_closed = 1;
        } else {
            if (has_just_closed)
                out[made++] = quote;
            is_inside = 1;
            has_just_closed = 0;
        }
    }
    return made;
}

/* The value of a field: where it stands, or in `scratch`, which takes its length. */
static const unsigned char *field_value(const Form *form, const unsigned char *in, const Span *span,
                                        unsigned char *scratch, size_t *length)
{
    const unsigned char *raw = in + span->start;
    *length = span->end - span->start;
    if (!span->is_marked)
        return raw;
    *length = form->is_csv ? csv_unquote(form->quote, raw, *length, scratch) : text_unescape(raw, *length, scratch);
    return scratch;
}

/* Writes the field that PostgreSQL writes for a value; returns its length, -1 when `room` might not be enough. */
static ptrdiff_t field_write(const Form *form, const unsigned char *in, size_t length, unsigned char *out, size_t room)
{
    size_t special = 0;
    for (size_t i = 0; i < length; i++)
        special += form->is_special[in[i]];
    if (room < length || room - length < special)
        return -1;
    int is_quoted = form->is_csv && (special > 0 || (length == form->null_length && memcmp(in, form->null, length) == 0) ||
                                     (form->is_single && length == 2 && in[0] == '\\' && in[1] == '.'));
    if (!is_quoted && special == 0) {
        memcpy(out, in, length);
        return (ptrdiff_t)length;
    }
    if (is_quoted && room - length - special < 2)
        return -1;
    size_t made = 0;
    if (form->is_csv)
        out[made++] = form->quote;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = in[i];
        if (form->is_csv) {
            if (c == form->quote)
                out[made++] = c;
        } else if (form->is_special[c]) {
            out[made++] = '\\';
            if (c >= '\b' && c <= '\r')
                c = (unsigned char)LETTERS[c - '\b'];
        }
        out[made++] = c;
    }
    if (form->is_csv)
        out[made++] = form->quote;
    return (ptrdiff_t)made;
}

#endif
