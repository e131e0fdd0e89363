/* One SQL text without its literals, exactly as `sql/fingerprint.py` has it, whose expressions these are in C.
 *
 * Works on UTF-8: all bytes beyond ASCII are letters of identifiers, or stand where any character may.
 */
#ifndef PGCRYPT_FINGERPRINT_H
#define PGCRYPT_FINGERPRINT_H

#include <string.h>

enum { SPACE = 1, LETTER = 2, REST = 4, MORE = 8, DIGIT = 16, SIGN = 32 };

static unsigned char CLASSES[256];

static void fingerprint_init(void)
{
    for (int c = 0; c < 256; c++) {
        int is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
        int is_digit = c >= '0' && c <= '9';
        CLASSES[c] = (unsigned char)((is_letter ? LETTER | REST | MORE : 0) | (is_digit ? DIGIT | REST | MORE : 0));
    }
    CLASSES['$'] = REST | MORE;
    CLASSES['.'] = MORE;
    for (const char *c = " \t\n\r\f\v"; *c != 0; c++)
        CLASSES[(unsigned char)*c] = SPACE;
    for (const char *c = "(),;[]:=<>+*~!@#%^|&?`{}"; *c != 0; c++)
        CLASSES[(unsigned char)*c] = SIGN;
}

/* A constant: `kind` is 's' (string), 'i' (integer of int4) or 'd' (decimal); its bytes are `start` to `end`. */
typedef struct {
    size_t start, end;
    char kind;
} Literal;

typedef struct {
    unsigned char *key; /* with room for two bytes for each of the text */
    size_t key_length;
    Literal *literals;
    size_t count, room;
} Fingerprint;

typedef struct {
    const unsigned char *in;
    size_t size;
} Text;

/* Behind the end there is what no text holds. */
static unsigned char byte_at(Text text, size_t at)
{
    return at < text.size ? text.in[at] : 0;
}

static int is_of(Text text, size_t at, int classes)
{
    return (CLASSES[byte_at(text, at)] & classes) != 0;
}

static size_t run_end(Text text, size_t at, int classes)
{
    while (is_of(text, at, classes))
        at++;
    return at;
}

static size_t comment_end(Text text, size_t at)
{
    for (unsigned char c; (c = byte_at(text, at)) != 0 && c != '\n' && c != '\r';)
        at++;
    return at;
}

/* Behind a comment whose opening ends at `at`, 0 for one that is nested or does not end. */
static size_t block_end(Text text, size_t at)
{
    for (unsigned char c; (c = byte_at(text, at)) != 0; at++) {
        if (c == '*' && byte_at(text, at + 1) == '/')
            return at + 2;
        if (c == '/' && byte_at(text, at + 1) == '*')
            return 0;
    }
    return 0;
}

/* Behind the quote that ends what begins behind `at`, 0 if nothing does; with `escapes`, a backslash takes the next. */
static size_t quoted_end(Text text, size_t at, unsigned char quote, int escapes)
{
    for (unsigned char c; (c = byte_at(text, at)) != 0; at++) {
        if (escapes && c == '\\') {
            if (byte_at(text, ++at) == 0)
                return 0;
        } else if (c == quote && byte_at(text, ++at) != quote) {
            return at;
        }
    }
    return 0;
}

/* Whether a string goes on behind `at`, or may do so behind a comment. */
static int may_go_on(Text text, size_t at)
{
    at = run_end(text, at, SPACE);
    unsigned char c = byte_at(text, at), next = byte_at(text, at + 1);
    return c == '\'' || (c == '-' && next == '-') || (c == '/' && next == '*');
}

static size_t exponent_end(Text text, size_t at)
{
    if ((byte_at(text, at) | 0x20) != 'e')
        return 0;
    at++;
    if (byte_at(text, at) == '+' || byte_at(text, at) == '-')
        at++;
    size_t end = run_end(text, at, DIGIT);
    return end == at || is_of(text, end, MORE) ? 0 : end;
}

/* Behind a number that is no literal, 0 for one that is or may be. */
static size_t number_end(Text text, size_t at)
{
    size_t whole = run_end(text, at, DIGIT), end = whole;
    int has_point = byte_at(text, whole) == '.';
    if (has_point)
        end = run_end(text, whole + 1, DIGIT);
    size_t found = exponent_end(text, end);
    if (found != 0)
        return found;
    if (whole == at) /* .5 */
        return is_of(text, end, MORE) ? 0 : end;
    if (whole - at >= 10 && !is_of(text, whole, MORE))
        return whole;
    return has_point && !is_of(text, whole + 1, MORE) ? whole + 1 : 0;
}

/* Behind the word at `at`: 0 if there is none. */
static size_t word_end(Text text, size_t at)
{
    unsigned char c = byte_at(text, at), next = byte_at(text, at + 1);
    size_t end;
    switch (CLASSES[c] & (SPACE | LETTER | SIGN | DIGIT)) {
    case SPACE:
        return run_end(text, at, SPACE);
    case SIGN:
        return at + 1;
    case DIGIT:
        return number_end(text, at);
    case LETTER:
        if (next == '\'' && strchr("eEbBxXnN", c) != NULL) {
            if ((c | 0x20) != 'e')
                return 0;
            end = quoted_end(text, at + 2, '\'', 1);
            return end == 0 || may_go_on(text, end) ? 0 : end;
        }
        if (next == '&' && (c | 0x20) == 'u' && (byte_at(text, at + 2) == '\'' || byte_at(text, at + 2) == '"'))
            return 0;
        return run_end(text, at, REST);
    default:
        break;
    }
    switch (c) {
    case '-':
        return next == '-' ? comment_end(text, at + 2) : at + 1;
    case '/':
        return next == '*' ? block_end(text, at + 2) : at + 1;
    case '.':
        return is_of(text, at + 1, DIGIT) ? number_end(text, at) : at + 1;
    case '"':
        return quoted_end(text, at + 1, '"', 0);
    case '$':
        end = run_end(text, at + 1, DIGIT);
        return end == at + 1 || is_of(text, end, MORE) ? 0 : end;
    default:
        return 0;
    }
}

/* Behind the literal at `at`: 0 if there is none. */
static size_t literal_end(Text text, size_t at, char *kind)
{
    if (byte_at(text, at) == '\'') {
        *kind = 's';
        return quoted_end(text, at + 1, '\'', 0);
    }
    size_t whole = run_end(text, at, DIGIT), end = whole;
    if (whole == at || whole - at > 18)
        return 0;
    *kind = 'i';
    if (byte_at(text, whole) == '.') {
        *kind = 'd';
        end = run_end(text, whole + 1, DIGIT);
        if (end == whole + 1 || end - whole - 1 > 18)
            return 0;
    } else if (whole - at > 9) {
        return 0;
    }
    return is_of(text, end, MORE) ? 0 : end;
}

static int has_two_points(Text text)
{
    for (size_t at = 0; at + 1 < text.size; at++)
        if (text.in[at] == '.' && text.in[at + 1] == '.')
            return 1; /* in `1..2` the number ends before both dots */
    return 0;
}

/* Whether the text has a fingerprint; -1: it has too many literals. */
static int fingerprint_read(Text text, Fingerprint *made)
{
    made->key_length = made->count = 0;
    if (has_two_points(text))
        return 0;
    for (size_t at = 0, end;;) {
        size_t start = at;
        while (at < text.size && (end = word_end(text, at)) != 0)
            at = end;
        memcpy(made->key + made->key_length, text.in + start, at - start);
        made->key_length += at - start;
        if (at == text.size)
            return made->count > 0;
        Literal literal = {at, 0, 0};
        if ((literal.end = literal_end(text, at, &literal.kind)) == 0)
            return 0;
        if (made->count == made->room)
            return -1;
        made->literals[made->count++] = literal;
        made->key[made->key_length++] = 0;
        made->key[made->key_length++] = (unsigned char)literal.kind;
        at = literal.end;
    }
}

/* ---- as Python has it */

#define FEW_LITERALS 64
#define SHORT_TEXT 4096

/* How many characters are in bytes that are UTF-8. */
static Py_ssize_t characters(const unsigned char *in, size_t from, size_t to)
{
    Py_ssize_t count = 0;
    for (; from < to; from++)
        count += (in[from] & 0xc0) != 0x80;
    return count;
}

static PyObject *fingerprint_for_python(Text text, const Fingerprint *found)
{
    PyObject *literals = PyTuple_New((Py_ssize_t)found->count);
    Py_ssize_t start = 0, end = 0;
    size_t at = 0;
    for (size_t i = 0; literals != NULL && i < found->count; i++) {
        const Literal *literal = &found->literals[i];
        start = end + characters(text.in, at, literal->start);
        end = start + characters(text.in, literal->start, literal->end);
        at = literal->end;
        PyObject *item = Py_BuildValue("(s#nns#)", &literal->kind, (Py_ssize_t)1, start, end, text.in + literal->start,
                                       (Py_ssize_t)(literal->end - literal->start));
        if (item == NULL || PyTuple_SetItem(literals, (Py_ssize_t)i, item) < 0)
            Py_CLEAR(literals);
    }
    return literals == NULL
               ? NULL
               : Py_BuildValue("(s#N)", (const char *)found->key, (Py_ssize_t)found->key_length, literals);
}

PyDoc_STRVAR(fingerprint_doc, "fingerprint(sql): the key, and (kind, start, end, written) of each literal; None if it has none.\n\n"
                              "The text must be without surrogates.");

static PyObject *fingerprint_of(PyObject *module, PyObject *sql)
{
    (void)module;
    Py_ssize_t size;
    const char *in = PyUnicode_AsUTF8AndSize(sql, &size);
    if (in == NULL)
        return NULL;
    Text text = {(const unsigned char *)in, (size_t)size};
    Literal few[FEW_LITERALS];
    unsigned char small[2 * SHORT_TEXT];
    Fingerprint found = {small, 0, few, 0, FEW_LITERALS};
    int is_long = text.size > SHORT_TEXT, is_found;
    if (is_long && (found.key = PyMem_Malloc(2 * text.size)) == NULL)
        return PyErr_NoMemory();
    is_found = fingerprint_read(text, &found);
    if (is_found < 0) {
        /* a literal has a character at least */
        found.literals = text.size > SIZE_MAX / sizeof *few ? NULL : PyMem_Malloc(text.size * sizeof *few);
        found.room = text.size;
        is_found = found.literals == NULL ? -1 : fingerprint_read(text, &found);
    }
    PyObject *answer = NULL;
    if (is_found < 0)
        PyErr_NoMemory();
    else if (is_found)
        answer = fingerprint_for_python(text, &found);
    else
        answer = Py_NewRef(Py_None);
    if (found.literals != few)
        PyMem_Free(found.literals);
    if (is_long)
        PyMem_Free(found.key);
    return answer;
}

#endif
