/* Opens values, and the rows that they stand in. */
#ifndef PGCRYPT_OPEN_H
#define PGCRYPT_OPEN_H

/* The plaintext of an envelope, into `out` if that is not NULL, else in place; -1 when it does not open. */
static Py_ssize_t open_envelope(Column *column, unsigned char *envelope, size_t length, unsigned char **plaintext,
                                unsigned char *out)
{
    static const int8_t terms_of[16] = {0, 1, 1, 2, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    if (length < ENVELOPE_HEADER || envelope[0] != 1)
        return -1;
    int terms = terms_of[envelope[1] & 15];
    if (terms < 0)
        return -1;
    size_t head = ENVELOPE_HEADER + TERM_LENGTH * (size_t)terms;
    if (length < head + NONCE_LENGTH + TAG_LENGTH)
        return -1;
    uint32_t id = load32(envelope + 2);
    Cipher *cipher = NULL;
    for (Py_ssize_t k = 0; k < column->key_count && cipher == NULL; k++)
        if (column->keys[k].id == id)
            cipher = column->keys[k].cipher;
    if (cipher == NULL)
        return -1;
    unsigned char *aad = column->aad + MAX_HEAD - head;
    unsigned char *sealed = envelope + head + NONCE_LENGTH;
    size_t size = length - head - NONCE_LENGTH - TAG_LENGTH;
    /* By fixed lengths: a copy of a length that is small and not known is made by one slow instruction. */
    memcpy(aad, envelope, ENVELOPE_HEADER);
    for (size_t at = ENVELOPE_HEADER; at < head; at += TERM_LENGTH)
        memcpy(aad + at, envelope + at, TERM_LENGTH);
    *plaintext = out == NULL ? sealed : out;
    if (!aead_open(cipher->open, envelope + head, aad, head + column->bound_length, sealed, size, *plaintext)) {
        crypto.error_clear();
        return -1;
    }
    return (Py_ssize_t)size;
}

/* What a column's Python function makes of a plaintext; bytes, or NULL with or without an exception set. */
static PyObject *converted(Column *column, const unsigned char *plaintext, Py_ssize_t size)
{
    PyObject *made = call_convert(column->convert, plaintext, size);
    if (made != NULL && !PyBytes_Check(made)) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}

/* One sealed value as the client sees it, at most `room` bytes at `out`; -1 to leave the row to Python. */
static Py_ssize_t open_value(Column *column, const unsigned char *value, size_t length, unsigned char *scratch,
                             unsigned char *out, size_t room)
{
    unsigned char *plaintext = NULL;
    unsigned char *envelope = scratch;
    size_t size = length;
    if (column->is_text) {
        if (length < 2 || length % 2 != 0 || value[0] != '\\' || value[1] != 'x' ||
            !hex_decode(value + 2, length - 2, scratch))
            return -1;
        size = (length - 2) / 2;
    } else {
        envelope = (unsigned char *)value; /* only read: a binary value is opened into `out` */
    }
    Py_ssize_t made = -1;
    unsigned char made_text[MAX_SHORT_TEXT];
    if (column->kind == RAW) {
        if (size > room)
            return -1;
        return open_envelope(column, envelope, size, &plaintext, out);
    }
    Py_ssize_t opened = open_envelope(column, envelope, size, &plaintext, NULL);
    if (opened < 0)
        return -1;
    size_t bytes = (size_t)opened;
    switch (column->kind) {
    case INT2:
    case INT4:
    case INT8:
        made = integer_text(plaintext, bytes, column->kind == INT2 ? 2 : column->kind == INT4 ? 4 : 8, made_text);
        break;
    case BOOL:
        if (bytes == 1) {
            made_text[0] = plaintext[0] ? 't' : 'f';
            made = 1;
        }
        break;
    case UUID:
        made = uuid_text(plaintext, bytes, made_text);
        break;
    case ISO_DATE:
        made = iso_date_text(plaintext, bytes, made_text);
        break;
    case BYTEA_HEX:
        if (2 + 2 * bytes > room)
            return -1;
        out[0] = '\\';
        out[1] = 'x';
        hex_encode(plaintext, bytes, out + 2);
        return (Py_ssize_t)(2 + 2 * bytes);
    case JSONB:
        if (bytes < 1 || bytes - 1 > room)
            return -1;
        memcpy(out, plaintext + 1, bytes - 1);
        return (Py_ssize_t)(bytes - 1);
    default: {
        PyObject *text = converted(column, plaintext, opened);
        if (text == NULL)
            return -1;
        made = PyBytes_Size(text);
        if ((size_t)made <= room)
            memcpy(out, PyBytes_AsString(text), (size_t)made);
        else
            made = -1;
        Py_DECREF(text);
        return made;
    }
    }
    if (made < 0 || (size_t)made > room)
        return -1;
    memcpy(out, made_text, (size_t)made);
    return made;
}

/* One row of a form, as a CopyData of `size` bytes with its header; returns the length of the opened one, 0 to leave
 * it to Python. `value` takes as much as `scratch`. */
static size_t open_line(Rows *self, const unsigned char *in, size_t size, unsigned char *scratch, unsigned char *value,
                        unsigned char *out)
{
    const Form *form = self->form;
    if (line_read(form, in, 5, size, (const unsigned char *)"\n", 1, self->spans, (size_t)self->count) != size)
        return 0;
    size_t kept = 5, made = 5;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Column *column = &self->columns[i];
        const Span *span = &self->spans[i];
        size_t start = span->start, end = span->end;
        column->opened_in_row = 0;
        if (!column->is_sealed || !is_value(form, in + start, end - start))
            continue;
        if (!form->is_csv) {
            if (start == end || in[start] != '\\')
                return 0;
            start++; /* to the second backslash, which stands for both */
        } else if (span->is_marked) {
            if (end - start < 2 || in[start] != form->quote || in[end - 1] != form->quote)
                return 0;
            start++;
            end--;
        }
        Py_ssize_t opened = open_value(column, in + start, end - start, scratch, value, size);
        size_t between = span->start - kept;
        if (opened < 0 || size - made < between)
            return 0;
        memcpy(out + made, in + kept, between);
        made += between;
        Py_ssize_t written = field_write(form, value, (size_t)opened, out + made, size - made);
        if (written < 0)
            return 0;
        made += (size_t)written;
        kept = span->end;
        column->opened_in_row = 1;
    }
    if (size - made < size - kept)
        return 0;
    memcpy(out + made, in + kept, size - kept);
    made += size - kept;
    out[0] = 'd';
    store32(out + 1, (uint32_t)(made - 1));
    for (Py_ssize_t i = 0; i < self->count; i++)
        self->columns[i].opened += self->columns[i].opened_in_row;
    return made;
}

/* One DataRow, or CopyData with a tuple, of `size` bytes with its header; returns the length of the opened one, 0 to leave it to Python. */
static size_t open_row(Rows *self, const unsigned char *in, size_t size, unsigned char *scratch, unsigned char *out)
{
    if (size < 7 || (size_t)(in[5] << 8 | in[6]) != (size_t)self->count)
        return 0;
    size_t at = 7, kept = 5, made = 5;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Column *column = &self->columns[i];
        size_t start = at;
        column->opened_in_row = 0;
        if (size - at < 4)
            return 0;
        uint32_t length = load32(in + at);
        at += 4;
        if (length == UINT32_MAX)
            continue;
        if (length > size - at)
            return 0;
        if (column->is_sealed) {
            size_t between = start - kept;
            memcpy(out + made, in + kept, between);
            made += between;
            if (size - made < 4)
                return 0;
            Py_ssize_t opened = open_value(column, in + at, length, scratch, out + made + 4, size - made - 4);
            if (opened < 0)
                return 0;
            store32(out + made, (uint32_t)opened);
            made += 4 + (size_t)opened;
            column->opened_in_row = 1;
            kept = at + length;
            if (made > kept)
                return 0;
        }
        at += length;
    }
    if (at != size)
        return 0;
    memcpy(out + made, in + kept, size - kept);
    made += size - kept;
    out[0] = self->message;
    store32(out + 1, (uint32_t)(made - 1));
    for (Py_ssize_t i = 0; i < self->count; i++)
        self->columns[i].opened += self->columns[i].opened_in_row;
    return made;
}

/* As many rows as are straight, from `*at` on, up to `end`; returns how many bytes were written to `out`. */
static size_t open_rows(Rows *self, const unsigned char *in, size_t end, size_t *at, unsigned char *scratch,
                        unsigned char *value, unsigned char *out)
{
    size_t made = 0;
    while (end - *at >= 5 && in[*at] == self->message) {
        uint32_t length = load32(in + *at + 1);
        if (length < 4 || length >= end - *at)
            break;
        size_t row = self->form == NULL ? open_row(self, in + *at, (size_t)length + 1, scratch, out + made)
                                        : open_line(self, in + *at, (size_t)length + 1, scratch, value, out + made);
        if (row == 0)
            break;
        made += row;
        *at += (size_t)length + 1;
    }
    return made;
}

#endif
