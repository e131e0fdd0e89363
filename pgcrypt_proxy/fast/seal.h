/* Values become envelopes: read, given their terms, and sealed. Included by native.c.
 *
 * A value that is not written plainly goes through its column's Python function, `convert`, which gives the
 * plaintext and the equality classes of its terms; where that raises, the whole row is left to Python.
 */
#ifndef PGCRYPT_SEAL_H
#define PGCRYPT_SEAL_H

#include <stdlib.h>
#include <sys/random.h>

#include "mac.h"
#include "read.h"

#define NONCES 256 /* fetched at once, at most: a system call for each is most of its cost */

/* How a plaintext is read. */
enum { READ_TEXT, READ_INT2, READ_INT4, READ_INT8, READ_BOOL, READ_UUID, READ_BYTEA, READ_DATE, READ_CONVERT, READS };

static const unsigned char CLASS_PREFIX[READS] = {'t', 'n', 'n', 'n', 'o', 'u', 'b', 'd', 0};

/* ---- what grows */

typedef struct {
    unsigned char *bytes;
    size_t used, room;
} Buffer;

/* Room for `more` bytes behind those that are used; NULL when there is no memory. */
static unsigned char *buffer_reserve(Buffer *buffer, size_t more)
{
    if (buffer->bytes == NULL || buffer->room - buffer->used < more) {
        if (more > SIZE_MAX / 4 || buffer->used > SIZE_MAX / 4)
            return NULL;
        size_t room = 2 * (buffer->used + more);
        unsigned char *bytes = realloc(buffer->bytes, room);
        if (bytes == NULL)
            return NULL;
        buffer->bytes = bytes;
        buffer->room = room;
    }
    return buffer->bytes + buffer->used;
}

static int buffer_add(Buffer *buffer, const unsigned char *bytes, size_t length)
{
    unsigned char *out = buffer_reserve(buffer, length);
    if (out == NULL)
        return 0;
    memcpy(out, bytes, length);
    buffer->used += length;
    return 1;
}

/* Random nonces from the operating system, fetched for the values that are likely to follow. */
typedef struct {
    unsigned char bytes[NONCES * NONCE_LENGTH];
    size_t left;
} Nonces;

static const unsigned char *nonce_next(Nonces *nonces, size_t expected)
{
    if (nonces->left == 0) {
        size_t count = expected < 1 ? 1 : expected < NONCES ? expected : NONCES, wanted = count * NONCE_LENGTH, at = 0;
        while (at < wanted) {
            ssize_t got = getrandom(nonces->bytes + at, wanted - at, 0);
            if (got <= 0)
                return NULL; /* Python then says what is wrong with it, or has more luck */
            at += (size_t)got;
        }
        nonces->left = count;
    }
    nonces->left--;
    return nonces->bytes + nonces->left * NONCE_LENGTH;
}

/* ---- a sealed column */

typedef struct {
    uint8_t is_sealed, kind, is_upper;
    unsigned char head[ENVELOPE_HEADER];
    Cipher *cipher;
    Mac *equality, *folded;
    unsigned char *bound;
    size_t bound_length, max_characters;
    PyObject *convert;
    Py_ssize_t sealed, sealed_in_row, used; /* values of this call, and how often the key was used, in vain included */
} Sealing;

static void sealing_clear(Sealing *column)
{
    Py_XDECREF((PyObject *)column->cipher);
    Py_XDECREF((PyObject *)column->equality);
    Py_XDECREF((PyObject *)column->folded);
    Py_XDECREF(column->convert);
    PyMem_Free(column->bound);
}

static int mac_of(PyObject *object, Mac **mac)
{
    if (object == Py_None)
        return 1;
    if (!PyObject_TypeCheck(object, mac_type)) {
        PyErr_SetString(PyExc_TypeError, "a term's key is a Mac or None");
        return 0;
    }
    Py_INCREF(object);
    *mac = (Mac *)object;
    return 1;
}

static int sealing_init(Sealing *column, PyObject *item)
{
    int kind, is_upper;
    const char *head, *bound;
    Py_ssize_t head_length, bound_length, max_characters;
    PyObject *cipher, *equality, *folded, *convert;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a column is None or a tuple");
        return 0;
    }
    if (!PyArg_ParseTuple(item, "iy#O!OOpy#nO", &kind, &head, &head_length, cipher_type, &cipher, &equality, &folded,
                          &is_upper, &bound, &bound_length, &max_characters, &convert))
        return 0;
    if (kind < READ_TEXT || kind >= READS || head_length != ENVELOPE_HEADER || !PyCallable_Check(convert) ||
        bound_length > INT_MAX / 2) {
        PyErr_SetString(PyExc_ValueError, "no such kind of column");
        return 0;
    }
    column->is_sealed = 1;
    column->kind = (uint8_t)kind;
    column->is_upper = (uint8_t)is_upper;
    column->max_characters = max_characters < 0 ? SIZE_MAX : (size_t)max_characters;
    memcpy(column->head, head, ENVELOPE_HEADER);
    Py_INCREF(cipher);
    column->cipher = (Cipher *)cipher;
    Py_INCREF(convert);
    column->convert = convert;
    if (!mac_of(equality, &column->equality) || !mac_of(folded, &column->folded))
        return 0;
    if ((column->equality != NULL) + 2 * (column->folded != NULL) != (column->head[1] & 15)) {
        PyErr_SetString(PyExc_ValueError, "flags and index terms do not agree");
        return 0;
    }
    if ((column->bound = PyMem_Malloc((size_t)bound_length + 1)) == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    memcpy(column->bound, bound, (size_t)bound_length);
    column->bound_length = (size_t)bound_length;
    return 1;
}

/* A plaintext and its equality classes: `key` behind `prefix`, and `folded` behind `folded_prefix`. */
typedef struct {
    const unsigned char *plaintext, *key, *folded;
    size_t length, key_length, folded_length;
    unsigned char prefix, folded_prefix;
    unsigned char small[16], small_key[MAX_SHORT_TEXT];
    PyObject *keeps; /* what Python made, and the pointers look into */
} Reading;

/* All but the arrays: to clear those as well takes one slow instruction for each value. */
static void reading_begin(Reading *made)
{
    made->plaintext = made->key = made->folded = NULL;
    made->length = made->key_length = made->folded_length = 0;
    made->prefix = made->folded_prefix = 0;
    made->keeps = NULL;
}

static int read_text(Sealing *column, const unsigned char *value, size_t length, unsigned char *scratch, Reading *made)
{
    size_t characters;
    if (!utf8_read(value, length, &characters) || characters > column->max_characters)
        return 0;
    made->plaintext = value;
    made->length = length;
    if (column->folded != NULL) {
        unsigned char first = column->is_upper ? 'a' : 'A';
        if (characters != length)
            return 0; /* what other letters become is Python's to say */
        for (size_t i = 0; i < length; i++)
            scratch[i] = (unsigned char)(value[i] ^ ((unsigned char)(value[i] - first) < 26 ? 0x20 : 0));
        made->folded = scratch;
        made->folded_length = length;
        made->folded_prefix = column->is_upper ? 'u' : 'c';
    }
    return 1;
}

/* Reads a value; whether it could. `scratch` takes `length` bytes. */
static int read_plainly(Sealing *column, const unsigned char *value, size_t length, int is_binary,
                        unsigned char *scratch, Reading *made)
{
    static const uint8_t sizes[READS] = {0, 2, 4, 8, 1, 16, 0, 4, 0};
    size_t size = sizes[column->kind];
    int is_read = 0;
    made->plaintext = made->small;
    made->length = size;
    if (column->folded != NULL && column->kind != READ_TEXT)
        return 0;
    switch (column->kind) {
    case READ_TEXT:
        is_read = read_text(column, value, length, scratch, made);
        break;
    case READ_INT2:
    case READ_INT4:
    case READ_INT8:
        if (!is_binary)
            is_read = integer_read(value, length, size, made->small);
        break;
    case READ_BOOL:
        if (!is_binary)
            is_read = bool_read(value, length, made->small);
        break;
    case READ_UUID:
        if (!is_binary)
            is_read = uuid_read(value, length, made->small);
        break;
    case READ_DATE:
        if (!is_binary)
            is_read = date_read(value, length, made->small);
        break;
    case READ_BYTEA:
        if (is_binary) {
            made->plaintext = value;
            made->length = length;
            is_read = 1;
        } else if (length >= 2 && length % 2 == 0 && value[0] == '\\' && value[1] == 'x') {
            is_read = hex_decode(value + 2, length - 2, scratch);
            made->plaintext = scratch;
            made->length = (length - 2) / 2;
        }
        break;
    default:
        return 0;
    }
    if (is_binary && size > 1 && column->kind != READ_DATE && length == size) {
        memcpy(made->small, value, size);
        is_read = 1;
    }
    made->prefix = CLASS_PREFIX[column->kind];
    made->key = made->plaintext;
    made->key_length = made->length;
    if (is_read && column->equality != NULL && column->kind >= READ_INT2 && column->kind <= READ_INT8) {
        made->key = made->small_key;
        made->key_length = integer_key(made->small, size, made->small_key);
    }
    return is_read;
}

/* The pointers of bytes whose first byte is the prefix, or nothing when there is no such term. */
static int class_of(PyObject *item, int is_wanted, const unsigned char **key, size_t *length, unsigned char *prefix)
{
    if (!is_wanted)
        return item == Py_None;
    if (!PyBytes_Check(item) || PyBytes_Size(item) < 1)
        return 0;
    const unsigned char *bytes = (const unsigned char *)PyBytes_AsString(item);
    *prefix = bytes[0];
    *key = bytes + 1;
    *length = (size_t)PyBytes_Size(item) - 1;
    return 1;
}

static int read_by_python(Sealing *column, const unsigned char *value, size_t length, Reading *made)
{
    PyObject *found = call_convert(column->convert, value, (Py_ssize_t)length);
    if (found == NULL)
        return 0;
    made->keeps = found;
    if (!PyTuple_Check(found) || PyTuple_Size(found) != 3)
        return 0;
    PyObject *plaintext = PyTuple_GetItem(found, 0);
    if (!PyBytes_Check(plaintext))
        return 0;
    made->plaintext = (const unsigned char *)PyBytes_AsString(plaintext);
    made->length = (size_t)PyBytes_Size(plaintext);
    return class_of(PyTuple_GetItem(found, 1), column->equality != NULL, &made->key, &made->key_length,
                    &made->prefix) &&
           class_of(PyTuple_GetItem(found, 2), column->folded != NULL, &made->folded, &made->folded_length,
                    &made->folded_prefix);
}

static int add_term(const Mac *mac, unsigned char prefix, const unsigned char *key, size_t length, unsigned char *head,
                    size_t *head_length)
{
    unsigned char digest[DIGEST_LENGTH];
    if (mac->is_closed || !hmac_make(&mac->hmac, &prefix, 1, key, length, digest))
        return 0;
    memcpy(head + *head_length, digest, TERM_LENGTH);
    *head_length += TERM_LENGTH;
    return 1;
}

static size_t envelope_length(const Sealing *column, size_t plaintext)
{
    size_t terms = (size_t)(column->equality != NULL) + (column->folded != NULL);
    return ENVELOPE_HEADER + TERM_LENGTH * terms + NONCE_LENGTH + plaintext + TAG_LENGTH;
}

/* Writes the envelope of what was read, `envelope_length` bytes; whether that succeeded. */
static int seal_reading(Sealing *column, const Reading *made, const unsigned char *nonce, unsigned char *out)
{
    size_t head = ENVELOPE_HEADER;
    memcpy(out, column->head, ENVELOPE_HEADER);
    if (column->equality != NULL &&
        !add_term(column->equality, made->prefix, made->key, made->key_length, out, &head))
        return 0;
    if (column->folded != NULL &&
        !add_term(column->folded, made->folded_prefix, made->folded, made->folded_length, out, &head))
        return 0;
    if (column->cipher->is_closed || column->cipher->seal == NULL)
        return 0;
    memcpy(out + head, nonce, NONCE_LENGTH);
    column->used++;
    if (!aead_seal(column->cipher->seal, nonce, out, head, column->bound, column->bound_length, made->plaintext,
                   made->length, out + head + NONCE_LENGTH)) {
        crypto.error_clear();
        return 0;
    }
    return 1;
}

/* Seals one value behind what `out` has, in the same format: in text, `before` and hexadecimal digits. Whether it
 * could; `out` then counts it, and else not. `scratch` takes `length` bytes. */
static int seal_value(Sealing *column, const unsigned char *value, size_t length, int is_binary, const char *before,
                      unsigned char *scratch, Nonces *nonces, size_t expected, Buffer *out)
{
    Reading made;
    int is_done = 0;
    reading_begin(&made);
    if (read_plainly(column, value, length, is_binary, scratch, &made) ||
        read_by_python(column, value, length, &made)) {
        size_t size = envelope_length(column, made.length), lead = is_binary ? 4 : strlen(before);
        const unsigned char *nonce = nonce_next(nonces, expected);
        unsigned char *place =
            nonce == NULL || made.length > INT_MAX / 4 ? NULL : buffer_reserve(out, lead + (is_binary ? size : 2 * size));
        if (place != NULL && is_binary) {
            store32(place, (uint32_t)size);
            is_done = seal_reading(column, &made, nonce, place + lead);
            size += lead;
        } else if (place != NULL) {
            memcpy(place, before, lead);
            is_done = seal_reading(column, &made, nonce, place + lead + size);
            if (is_done)
                hex_encode(place + lead + size, size, place + lead);
            size = lead + 2 * size;
        }
        if (is_done) {
            out->used += size;
            column->sealed_in_row++;
        }
    }
    Py_XDECREF(made.keeps);
    return is_done;
}

#endif
