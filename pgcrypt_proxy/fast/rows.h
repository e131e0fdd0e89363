/* Opens the rows of one result, or of one COPY TO. */
#ifndef PGCRYPT_ROWS_H
#define PGCRYPT_ROWS_H

#define GIL_BYTES 32768 /* from here on a run is long enough to let other threads go on */
#define SLICE 49152
#define SMALL_RUN 2048 /* up to here the stack is enough */

/* How a value is shown in text; in binary all are RAW. */
enum { RAW, INT2, INT4, INT8, BOOL, UUID, BYTEA_HEX, JSONB, ISO_DATE, CONVERT, KINDS };

static PyTypeObject *rows_type;

typedef struct {
    uint32_t id;
    Cipher *cipher;
} Key;

typedef struct {
    uint8_t is_sealed, is_text, kind;
    Py_ssize_t key_count;
    Key *keys;
    unsigned char *aad; /* MAX_HEAD bytes for the envelope's head, then `bound_length` that never change */
    size_t bound_length;
    PyObject *convert;
    Py_ssize_t opened, opened_in_row, uncounted;
} Column;

typedef struct {
    PyObject_HEAD
    Py_ssize_t count;
    Column *columns;
    int has_convert, is_busy;
    double seconds;
    unsigned char message; /* 'D': DataRow, 'd': CopyData */
    Form *form;            /* of CopyData; NULL: the binary format */
    Span *spans;
} Rows;

static void column_clear(Column *column)
{
    for (Py_ssize_t k = 0; k < column->key_count; k++)
        Py_XDECREF((PyObject *)column->keys[k].cipher);
    PyMem_Free(column->keys);
    PyMem_Free(column->aad);
    Py_XDECREF(column->convert);
}

static void rows_dealloc(PyObject *object)
{
    Rows *self = (Rows *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (Py_ssize_t i = 0; i < self->count; i++)
        column_clear(&self->columns[i]);
    PyMem_Free(self->columns);
    PyMem_Free(self->form);
    PyMem_Free(self->spans);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static int column_init(Column *column, PyObject *item)
{
    int kind, is_text;
    const char *bound;
    Py_ssize_t bound_length;
    PyObject *keys, *convert;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a column is None or a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "ipO!y#O", &kind, &is_text, &PyTuple_Type, &keys, &bound,
                          &bound_length, &convert))
        return -1;
    if (kind < RAW || kind >= KINDS || (kind != RAW && !is_text) || (kind == CONVERT) != (convert != Py_None)) {
        PyErr_SetString(PyExc_ValueError, "no such kind of column");
        return -1;
    }
    column->is_sealed = 1;
    column->is_text = (uint8_t)is_text;
    column->kind = (uint8_t)kind;
    Py_ssize_t count = PyTuple_Size(keys);
    column->keys = PyMem_Calloc((size_t)count + 1, sizeof(Key));
    column->aad = PyMem_Malloc(MAX_HEAD + (size_t)bound_length + 1);
    if (column->keys == NULL || column->aad == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(column->aad + MAX_HEAD, bound, (size_t)bound_length);
    column->bound_length = (size_t)bound_length;
    for (Py_ssize_t k = 0; k < count; k++) {
        unsigned int id;
        PyObject *cipher;
        PyObject *pair = PyTuple_GetItem(keys, k);
        if (pair == NULL || !PyTuple_Check(pair)) {
            PyErr_SetString(PyExc_TypeError, "a key is an id and a cipher");
            return -1;
        }
        if (!PyArg_ParseTuple(pair, "IO!", &id, cipher_type, &cipher))
            return -1;
        Py_INCREF(cipher);
        column->keys[k].id = id;
        column->keys[k].cipher = (Cipher *)cipher;
        column->key_count = k + 1;
    }
    if (convert != Py_None) {
        Py_INCREF(convert);
        column->convert = convert;
    }
    return 0;
}

static PyObject *rows_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *columns, *form = Py_None;
    int message = 'D';
    (void)keywords;
    if (!PyArg_ParseTuple(args, "O!|iO:Rows", &PyTuple_Type, &columns, &message, &form))
        return NULL;
    if (message != 'd' && (message != 'D' || form != Py_None)) {
        PyErr_SetString(PyExc_ValueError, "no such rows");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Rows *self = (Rows *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_Size(columns);
    self->columns = PyMem_Calloc((size_t)count + 1, sizeof(Column));
    self->spans = PyMem_Calloc((size_t)count + 1, sizeof(Span));
    if (self->columns == NULL || self->spans == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->count = count;
    self->message = (unsigned char)message;
    if (form != Py_None && (self->form = form_new(form)) == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyTuple_GetItem(columns, i);
        if (item == NULL || (item != Py_None && column_init(&self->columns[i], item) < 0)) {
            Py_DECREF(self);
            return NULL;
        }
        self->has_convert |= self->columns[i].kind == CONVERT;
    }
    return (PyObject *)self;
}

/* Takes or gives back the column's keys; another thread that has one makes this one leave all to Python. */
static int rows_claim(Rows *self)
{
    if (self->is_busy)
        return 0;
    self->is_busy = 1;
    for (Py_ssize_t i = 0; i < self->count; i++)
        for (Py_ssize_t k = 0; k < self->columns[i].key_count; k++)
            if (self->columns[i].keys[k].cipher->is_busy || self->columns[i].keys[k].cipher->open == NULL) {
                self->is_busy = 0;
                return 0;
            }
    for (Py_ssize_t i = 0; i < self->count; i++)
        for (Py_ssize_t k = 0; k < self->columns[i].key_count; k++)
            self->columns[i].keys[k].cipher->is_busy = 1;
    return 1;
}

static void rows_release(Rows *self)
{
    for (Py_ssize_t i = 0; i < self->count; i++)
        for (Py_ssize_t k = 0; k < self->columns[i].key_count; k++) {
            Cipher *cipher = self->columns[i].keys[k].cipher;
            cipher->is_busy = 0;
            if (cipher->is_closed)
                cipher_drop(cipher);
        }
    self->is_busy = 0;
}

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
    memcpy(aad, envelope, head);
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

/* How much of a run is opened at once: little enough for the caches, or one row if that is longer. */
static size_t slice_of(const unsigned char *in, size_t size)
{
    if (size <= SLICE)
        return size;
    uint32_t length = load32(in + 1);
    size_t row = (size_t)length + 1;
    return row > size ? size : row > SLICE ? row : SLICE;
}

PyDoc_STRVAR(open_doc,
             "open(run, at): opens the rows of `run` from `at` on, up to one that Python must look at, or a slice.\n\n"
             "Returns the opened rows, where it stopped, and for each column how many values it opened.");

static PyObject *rows_open(PyObject *object, PyObject *args)
{
    Rows *self = (Rows *)object;
    PyObject *run;
    Py_ssize_t start;
    if (!PyArg_ParseTuple(args, "Sn:open", &run, &start))
        return NULL;
    Py_ssize_t size = PyBytes_Size(run);
    if (start < 0 || start > size) {
        PyErr_SetString(PyExc_ValueError, "outside of the run");
        return NULL;
    }
    const unsigned char *in = (const unsigned char *)PyBytes_AsString(run);
    size_t room = slice_of(in + start, (size_t)(size - start)), at = (size_t)start, used = 0;
    unsigned char small[3 * SMALL_RUN], *out = small;
    if (room > SMALL_RUN && (out = PyMem_Malloc((self->form == NULL ? 2 : 3) * room)) == NULL)
        return PyErr_NoMemory();
    int is_claimed = rows_claim(self);
    if (is_claimed) {
        unsigned char *scratch = out + room, *value = scratch + room;
        for (Py_ssize_t i = 0; i < self->count; i++)
            self->columns[i].opened = 0;
        if (room >= GIL_BYTES && !self->has_convert) {
            Py_BEGIN_ALLOW_THREADS
            used = open_rows(self, in, (size_t)start + room, &at, scratch, value, out);
            Py_END_ALLOW_THREADS
        } else {
            used = open_rows(self, in, (size_t)start + room, &at, scratch, value, out);
        }
        rows_release(self);
    }
    PyObject *answer = NULL, *counts = PyErr_Occurred() ? NULL : PyTuple_New(self->count);
    for (Py_ssize_t i = 0; counts != NULL && i < self->count; i++) {
        PyObject *number = PyLong_FromSsize_t(is_claimed ? self->columns[i].opened : 0);
        if (number == NULL || PyTuple_SetItem(counts, i, number) < 0) {
            Py_DECREF(counts);
            counts = NULL;
        }
    }
    if (counts != NULL) {
        answer = Py_BuildValue("(y#nO)", (const char *)out, (Py_ssize_t)used, (Py_ssize_t)at, counts);
        Py_DECREF(counts);
    }
    if (out != small)
        PyMem_Free(out);
    return answer;
}

PyDoc_STRVAR(counts_doc, "counts(): how many values of each column a Course has opened since, and in how many seconds.");

static PyObject *rows_counts(PyObject *object, PyObject *unused)
{
    Rows *self = (Rows *)object;
    (void)unused;
    PyObject *counts = PyTuple_New(self->count);
    for (Py_ssize_t i = 0; counts != NULL && i < self->count; i++) {
        PyObject *number = PyLong_FromSsize_t(self->columns[i].uncounted);
        if (number == NULL || PyTuple_SetItem(counts, i, number) < 0)
            Py_CLEAR(counts);
        self->columns[i].uncounted = 0;
    }
    PyObject *answer = counts == NULL ? NULL : Py_BuildValue("(Od)", counts, self->seconds);
    Py_XDECREF(counts);
    self->seconds = 0;
    return answer;
}

static PyMethodDef rows_methods[] = {
    {"open", rows_open, METH_VARARGS, open_doc},
    {"counts", rows_counts, METH_NOARGS, counts_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot rows_slots[] = {
    {Py_tp_new, rows_new},         {Py_tp_dealloc, rows_dealloc}, {Py_tp_methods, rows_methods},
    {Py_tp_doc, "Rows(columns, message, form): opens the rows of one result, or of one COPY."}, {0, NULL},
};
static PyType_Spec rows_spec = {"pgcrypt_proxy.fast.native.Rows", sizeof(Rows), 0, Py_TPFLAGS_DEFAULT, rows_slots};

#endif
