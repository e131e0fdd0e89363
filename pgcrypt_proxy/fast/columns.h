/* The columns of one result, or of one COPY TO: what each is opened with, and how it is shown. */
#ifndef PGCRYPT_COLUMNS_H
#define PGCRYPT_COLUMNS_H

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

#endif
